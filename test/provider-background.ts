// What the scripted provider keeps of an answer in the background (the Responses API's `background`): the script goes on
// whoever reads it, and readers begin behind any event.
import type { ServerResponse } from "node:http";
import { StringDecoder } from "node:string_decoder";

type Block = { sequence: number; text: string };

/** Where a script writes an answer that is kept: what it needs of a response. */
export class KeptAnswer {
  readonly #blocks: Block[] = [];
  readonly #decoder = new StringDecoder();
  #rest = "";
  #more = Promise.withResolvers<void>();
  /** Of the status and headers each reader gets its own. */
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

  /** The script is over. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#wake();
    this.#onOver();
  }

  /** The script stops at its next step. */
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
