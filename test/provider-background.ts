// Background answers of the scripted provider (the Responses API's `background`): the script runs
// independently of its readers, which may start after any event.
import type { ServerResponse } from "node:http";
import { StringDecoder } from "node:string_decoder";

type Block = { sequence: number; text: string };

/** Target of a script whose answer is kept: the part of a response that scripts use. */
export class KeptAnswer {
  readonly #blocks: Block[] = [];
  readonly #decoder = new StringDecoder();
  #rest = "";
  #more = Promise.withResolvers<void>();
  /** Each reader gets its own status and headers. */
  readonly writeHead = () => this;
  readonly flushHeaders = () => {};
  readonly socket = null;
  destroyed = false;
  #over = false;
  readonly #onOver: () => void;

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  write(bytes: string | Buffer): boolean {
    const blocks = (this.#rest + (typeof bytes === "string" ? bytes : this.#decoder.write(bytes))).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    for (const text of blocks) {
      const { sequence_number: sequence } = JSON.parse(text.slice(text.indexOf("data: ") + "data: ".length));
      this.#blocks.push({ sequence, text: `${text}\n\n` });
    }
    this.#wake();
    return true;
  }

  /** Ends the script. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#wake();
    this.#onOver();
  }

  /** Stops the script at its next step. */
  destroy(): void {
    this.destroyed = true;
    this.end();
  }

  async follow(after: number, response: ServerResponse): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
    response.flushHeaders();
    for (let at = 0; !response.destroyed; ) {
      const { promise } = this.#more;
      for (; at < this.#blocks.length; at++) {
        const { sequence, text } = this.#blocks[at] as Block;
        if (sequence > after) response.write(text);
      }
      if (this.#over) break;
      await Promise.race([promise, new Promise((resolve) => response.once("close", resolve))]);
    }
    response.end();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers<void>();
  }
}
