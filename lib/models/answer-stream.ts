// A provider's answer on its way to the adapter: read when its text can go on, and joined before anybody parses it, since each event would go
// alone through the SDK's parser, its schemas and a dozen streams. Between two commits of the log, when nobody could read a text,
// nothing is read behind it: it waits in the system's buffers and goes on just before the commit. An answer's first text
// never waits, nor does what is no text once it is read (docs/performance.md, docs/decisions/0013).
import { finished, type Readable } from "node:stream";
import { type HoldUntilCommit, holdUntilCommit } from "@/lib/next-commit";
import type { Normaliser, Said } from "./normaliser";

export type AnswerOptions = {
  /** Reads the bytes and knows when the answer is whole. */
  normaliser: Normaliser;
  /** What the normaliser has made of what was read of the source before. */
  said?: Said[];
  /** Called for whatever the provider sends, shown or not. */
  onBytes?(): void;
  hold?: HoldUntilCommit;
};

/**
 * The canonical events of an answer, in order. Text is given on at the latest when the log asks for it, the source ends or fails, or
 * something else follows it. The source is read only when what comes can go on; cancelling destroys it, and so does the
 * end of the answer. A failure, the connection's or one that the provider reports, comes behind all that had come whole; after
 * the reason of the answer's end there is none.
 */
export function answerStream(
  source: Readable,
  { normaliser, said: begun, onBytes, hold = holdUntilCommit }: AnswerOptions,
): ReadableStream<Uint8Array> {
  let output!: ReadableStreamDefaultController<Uint8Array | string>;
  let encode: (text: string) => Uint8Array | string = (text) => encoder.encode(text);
  let held: Extract<Said, { type: "delta" }> | null = null;
  /** `kept`: until the commit asks. `asked`: it is about to begin, and what one read brings goes with it. `ready`: that has come. */
  let state: "flowing" | "kept" | "asked" | "ready" = "flowing";
  let sawText = false;
  /** Resolved when the reader of this stream got something. */
  let demand: PromiseWithResolvers<void> | null = null;
  let over = false;
  let failure: { error: unknown } | null = null;
  /** What is waited for behind the reason of the end. */
  let grace: { ms: number; timer: NodeJS.Timeout } | undefined;

  source.on("readable", read);
  finished(source, { writable: false }, end);
  return new EncodedStream(
    {
      start(controller) {
        output = controller;
      },
      pull() {
        demand = Promise.withResolvers();
        const { promise } = demand;
        if (failure) fail(failure.error);
        else read();
        return promise;
      },
      cancel() {
        over = true;
        clearTimeout(grace?.timer);
        source.destroy();
      },
    },
    () => {
      encode = (text) => text;
    },
  );

  function read(): void {
    while (demand && (state === "flowing" || state === "asked") && !over) {
      const said = next();
      if (said === null) return;
      // One more would begin the next read of the connection, for the first of the next texts alone.
      if (state === "asked") state = "ready";
      take(said);
    }
  }

  function next(): Said[] | null {
    const first = begun;
    begun = undefined;
    if (first) return first;
    const bytes: Buffer | null = source.read();
    return bytes && normaliser.read(bytes);
  }

  function take(said: Said[]): void {
    onBytes?.();
    say(said);
    if (over) return;
    const { whole, failure: reported, settled, graceMs } = normaliser;
    if (whole || reported) finish();
    else if (settled && graceMs !== grace?.ms) {
      clearTimeout(grace?.timer);
      grace = { ms: graceMs, timer: setTimeout(finish, graceMs) };
    }
  }

  /** The answer has ended before its connection, which serves the next request if it ends soon. */
  function finish(): void {
    end();
    if (failure) source.destroy();
    else drain(source);
  }

  function say(said: Said[]): void {
    const waited = held !== null;
    let events = "";
    for (const item of said) {
      if (item.type === "delta" && item.key === held?.key) {
        held.text += item.text;
        continue;
      }
      events += heldEvent();
      if (item.type === "delta") held = { ...item };
      else events += item.frame;
    }
    // What is no text never waits, nor does the text around it.
    if (events !== "") pass(events + heldEvent());
    else if (held && !waited && !(sawText && mayWait())) give();
    sawText ||= said.some(({ type }) => type === "delta");
  }

  function mayWait(): boolean {
    if (over) return false;
    if (state === "flowing" && hold({ prepare, release })) state = "kept";
    return state !== "flowing";
  }

  function prepare(): void {
    state = "asked";
    read();
  }

  function release(): void {
    state = "flowing";
    if (over) return;
    const waited = held !== null;
    give();
    // If this text was held, hold the next one too.
    if (waited && hold({ prepare, release })) state = "kept";
    else read();
  }

  function give(): void {
    const event = heldEvent();
    if (event !== "") pass(event);
  }

  function heldEvent(): string {
    const event = held?.frame(held.text) ?? "";
    held = null;
    return event;
  }

  function pass(events: string): void {
    output.enqueue(encode(events));
    demand?.resolve();
    demand = null;
  }

  function end(problem?: unknown): void {
    if (over) return;
    over = true;
    clearTimeout(grace?.timer);
    // Of what came with a failure, what had come before it.
    for (let said = next(); said !== null; said = next()) take(said);
    say(normaliser.finish(Boolean(problem)));
    give();
    const error = normaliser.whole ? undefined : (normaliser.failure ?? problem);
    if (error) {
      failure = { error };
      if (demand) fail(error);
      return;
    }
    output.close();
    demand?.resolve();
  }

  /** A failure throws away what is still on its way through the streams behind: text gets a head start. */
  function fail(error: unknown): void {
    setImmediate(() => {
      output.error(error);
      demand?.resolve();
    });
  }
}

const encoder = new TextEncoder();

/**
 * Bytes to every reader but one: a decoder would only undo the encoding, so behind it stands the text itself. The SDKs' first
 * stream is one, and a `TextDecoderStream` costs a call as much as the parser behind it.
 */
class EncodedStream extends ReadableStream<Uint8Array> {
  readonly #skipEncoding: () => void;

  constructor(source: UnderlyingDefaultSource<Uint8Array | string>, skipEncoding: () => void) {
    super(source as UnderlyingDefaultSource<Uint8Array>, { highWaterMark: 0 });
    this.#skipEncoding = skipEncoding;
  }

  override pipeThrough<T>(next: ReadableWritablePair<T, Uint8Array>, options?: StreamPipeOptions): ReadableStream<T> {
    const decodes = (next as object) instanceof TextDecoderStream;
    if (!decodes || options || this.locked) return super.pipeThrough(next, options);
    this.#skipEncoding();
    return this as unknown as ReadableStream<T>;
  }
}

/** What follows the end of an answer is an empty chunk, in the same packet or the next one. */
const drainMs = 1_000;

function drain(source: Readable): void {
  source.removeAllListeners("readable");
  source.resume();
  const timer = setTimeout(() => source.destroy(), drainMs).unref();
  finished(source, () => clearTimeout(timer));
}
