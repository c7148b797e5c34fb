// Delivers a provider's answer to the adapter: read when its text can be forwarded, with text
// joined before parsing, since otherwise each event would pass alone through the SDK's parser, its
// schemas and a dozen streams. Between two commits of the log nobody could read the text, so it
// stays unread in the system's buffers until just before the commit. An answer's first text never
// waits, nor does anything but text once read (docs/performance.md, docs/decisions/0013).
import { finished, type Readable } from "node:stream";
import type { HoldUntilCommit } from "@/lib/next-commit";
import type { NormalisedItem, Normaliser } from "./normaliser";

export type AnswerStreamOptions = {
  /** Reads the bytes and detects the end of the answer. */
  normaliser: Normaliser;
  /** Normaliser output from bytes already read. */
  initialItems?: NormalisedItem[];
  /** Called for everything the provider sends, shown or not. */
  onBytes?(): void;
  hold: HoldUntilCommit;
};

/**
 * The canonical events of an answer, in order. Text is forwarded at the latest when the log asks
 * for it, the source ends or fails, or something else follows it. The source is read only when its
 * data can be forwarded; cancelling or the end of the answer destroys it. A failure, of the
 * connection or reported by the provider, follows everything that arrived whole; after the finish
 * reason there is none.
 */
export function answerStream(
  source: Readable,
  { normaliser, initialItems: initial, onBytes, hold }: AnswerStreamOptions,
): ReadableStream<Uint8Array> {
  let output!: ReadableStreamDefaultController<Uint8Array | string>;
  let encode: (text: string) => Uint8Array | string = (text) => encoder.encode(text);
  let held: Extract<NormalisedItem, { type: "delta" }> | null = null;
  /**
   * `kept`: held until the commit asks. `asked`: the commit is imminent, and the next read's data
   * joins it. `ready`: that read has happened.
   */
  let state: "flowing" | "kept" | "asked" | "ready" = "flowing";
  let hasText = false;
  /** Resolved when this stream's reader has received something. */
  let demand: PromiseWithResolvers<void> | null = null;
  let ended = false;
  let failure: { error: unknown } | null = null;
  /** The wait for the usage after the finish reason. */
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
        ended = true;
        clearTimeout(grace?.timer);
        source.destroy();
      },
    },
    () => {
      encode = (text) => text;
    },
  );

  function read(): void {
    while (demand && (state === "flowing" || state === "asked") && !ended) {
      const items = next();
      if (items === null) return;
      // Another read would start the next one on the connection just for the first of the next
      // texts.
      if (state === "asked") state = "ready";
      process(items);
    }
  }

  function next(): NormalisedItem[] | null {
    const first = initial;
    initial = undefined;
    if (first) return first;
    const bytes: Buffer | null = source.read();
    return bytes && normaliser.read(bytes);
  }

  function process(items: NormalisedItem[]): void {
    onBytes?.();
    handle(items);
    if (ended) return;
    const { complete, failure: reported, settled, graceMs } = normaliser;
    if (complete || reported) finish();
    else if (settled && graceMs !== grace?.ms) {
      clearTimeout(grace?.timer);
      grace = { ms: graceMs, timer: setTimeout(finish, graceMs) };
    }
  }

  /** The answer ended before its connection, which is reused if it ends soon. */
  function finish(): void {
    end();
    if (failure) source.destroy();
    else drain(source);
  }

  function handle(items: NormalisedItem[]): void {
    const waited = held !== null;
    let events = "";
    for (const item of items) {
      if (item.type === "delta" && item.key === held?.key) {
        held.text += item.text;
        continue;
      }
      events += takeHeld();
      if (item.type === "delta") held = { ...item };
      else events += item.frame;
    }
    // Anything but text is never held, nor is the text around it.
    if (events !== "") emit(events + takeHeld());
    else if (held && !waited && !(hasText && mayWait())) flush();
    hasText ||= items.some(({ type }) => type === "delta");
  }

  function mayWait(): boolean {
    if (ended) return false;
    if (state === "flowing" && hold({ prepare, release })) state = "kept";
    return state !== "flowing";
  }

  function prepare(): void {
    state = "asked";
    read();
  }

  function release(): void {
    state = "flowing";
    if (ended) return;
    const waited = held !== null;
    flush();
    // If this text was held, hold the next one too.
    if (waited && hold({ prepare, release })) state = "kept";
    else read();
  }

  function flush(): void {
    const event = takeHeld();
    if (event !== "") emit(event);
  }

  function takeHeld(): string {
    const event = held?.frame(held.text) ?? "";
    held = null;
    return event;
  }

  function emit(events: string): void {
    output.enqueue(encode(events));
    demand?.resolve();
    demand = null;
  }

  function end(problem?: unknown): void {
    if (ended) return;
    ended = true;
    clearTimeout(grace?.timer);
    // Deliver what arrived before the failure.
    for (let items = next(); items !== null; items = next()) process(items);
    handle(normaliser.finish(Boolean(problem)));
    flush();
    const error = normaliser.complete ? undefined : (normaliser.failure ?? problem);
    if (error) {
      failure = { error };
      if (demand) fail(error);
      return;
    }
    output.close();
    demand?.resolve();
  }

  /** An error discards what is still queued in downstream streams, so text gets a head start. */
  function fail(error: unknown): void {
    setImmediate(() => {
      output.error(error);
      demand?.resolve();
    });
  }
}

const encoder = new TextEncoder();

/**
 * Emits bytes, except to a text decoder, which would only undo the encoding: then it emits the text
 * itself. The SDKs' first stream is a `TextDecoderStream`, which costs as much per call as the
 * parser after it.
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

/** Only an empty chunk follows the end of an answer, in the same packet or the next. */
const drainMs = 1_000;

function drain(source: Readable): void {
  source.removeAllListeners("readable");
  source.resume();
  const timer = setTimeout(() => source.destroy(), drainMs).unref();
  finished(source, () => clearTimeout(timer));
}
