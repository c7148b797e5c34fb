// Joins the text of a provider's answer before anybody parses it: each event would go alone through the SDK's parser, its
// schemas and a dozen streams. Text deltas that lie side by side become one event. Between two commits of the log, when
// nobody could read a text, nothing is read behind it: it waits in the system's buffers and goes on just before the commit.
// An answer's first text never waits, nor does what is no text once it is read. Bytes that are not understood pass as they
// are (docs/performance.md, docs/decisions/0013).
import { finished, type Readable } from "node:stream";
import { type HoldUntilCommit, holdUntilCommit } from "@/lib/next-commit";
import { type TextDelta, TextDeltas } from "./text-deltas";

const newline = 0x0a;
const carriageReturn = 0x0d;
const blankLine = Buffer.from("\n\n");

/**
 * The same events in the same order. Text is given on at the latest when the log asks for it, the source ends or fails, or
 * something else follows it. An event that is not whole yet is kept until it is, as any parser would. The source is read
 * only when what comes can go on; cancelling destroys it. Its failure, or its closing without an end, comes behind all that
 * had come whole.
 */
export function joinFrames(source: Readable, hold: HoldUntilCommit = holdUntilCommit): ReadableStream<Uint8Array> {
  let output!: ReadableStreamDefaultController<Uint8Array>;
  const deltas = new TextDeltas();
  /** The beginning of an event whose end has not come. */
  let pieces: Buffer[] = [];
  let held: Said | null = null;
  /** `kept`: until the commit asks. `asked`: it is about to begin, and what one read brings goes with it. `ready`: that has come. */
  let state: "flowing" | "kept" | "asked" | "ready" = "flowing";
  let sawText = false;
  /** Resolved when the reader of this stream got something. */
  let demand: PromiseWithResolvers<void> | null = null;
  let over = false;
  let failure: { error: unknown } | null = null;

  source.on("readable", read);
  finished(source, { writable: false }, end);
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        output = controller;
      },
      pull() {
        demand = Promise.withResolvers();
        const { promise } = demand;
        if (failure) tell(failure.error);
        else read();
        return promise;
      },
      cancel() {
        over = true;
        source.destroy();
      },
    },
    { highWaterMark: 0 },
  );

  function read(): void {
    while (demand && (state === "flowing" || state === "asked") && !over) {
      const bytes: Buffer | null = source.read();
      if (bytes === null) return;
      // One more would begin the next read of the connection, for the first of the next texts alone.
      if (state === "asked") state = "ready";
      take(bytes);
    }
  }

  function take(bytes: Buffer): void {
    const end = endOfEvents(bytes, pieces.at(-1)?.at(-1));
    if (end === 0) {
      pieces.push(bytes);
      return;
    }
    const whole = bytes.subarray(0, end);
    const said = joined(pieces.length > 0 ? Buffer.concat([...pieces, whole]) : whole, deltas);
    pieces = end < bytes.length ? [bytes.subarray(end)] : [];
    if (held && !append(held, said)) give();
    if (held === null && said.delta && sawText && mayWait()) held = said;
    else if (held === null) give(said);
    if (said.delta?.text) sawText = true;
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
    // Where one had to wait one waits again, and reads then.
    if (waited && hold({ prepare, release })) state = "kept";
    else read();
  }

  function give(said = held): void {
    held = null;
    if (said) pass(bytesOf(said));
  }

  function pass(bytes: Uint8Array): void {
    output.enqueue(bytes);
    demand?.resolve();
    demand = null;
  }

  function end(error?: unknown): void {
    if (over) return;
    over = true;
    // Of what came with a failure, what had come before it.
    for (let bytes: Buffer | null = source.read(); bytes !== null; bytes = source.read()) take(bytes);
    give();
    if (error) {
      failure = { error };
      if (demand) tell(error);
      return;
    }
    if (pieces.length > 0) pass(Buffer.concat(pieces));
    output.close();
    demand?.resolve();
  }

  /** A failure throws away what is still on its way through the streams behind: text gets a head start. */
  function tell(error: unknown): void {
    setImmediate(() => {
      output.error(error);
      demand?.resolve();
    });
  }
}

/** Where the last whole event ends; 0 when none does. `before` is the byte in front of these. */
function endOfEvents(bytes: Buffer, before: number | undefined): number {
  // Some servers end their lines with CR LF: their events pass as they come.
  if (bytes.includes(carriageReturn)) return bytes.length;
  const last = bytes.lastIndexOf(blankLine);
  if (last >= 0) return last + blankLine.length;
  return before === newline && bytes[0] === newline ? 1 : 0;
}

/** Whole events: their bytes, and the delta when they are no more than one; without bytes it has grown. */
type Said = { bytes: Buffer; delta: TextDelta | null } | { bytes: null; delta: TextDelta };

function bytesOf(said: Said): Buffer {
  return said.bytes ?? Buffer.from(said.delta.write(said.delta.text));
}

/** False when `next` does not go on where `said` ends. */
function append(said: Said, next: Said): boolean {
  if (!said.delta || !next.delta || said.delta.key !== next.delta.key) return false;
  said.delta.text += next.delta.text;
  said.bytes = null;
  return true;
}

function joined(bytes: Buffer, deltas: TextDeltas): Said {
  if (bytes.includes(carriageReturn)) return { bytes, delta: null };
  const events = bytes.toString().split("\n\n");
  let text = "";
  let count = 0;
  let open: TextDelta | null = null;
  for (const event of events) {
    if (event === "") continue;
    count++;
    const delta = deltas.read(event);
    if (delta && open?.key === delta.key) {
      open.text += delta.text;
      continue;
    }
    if (open) text += open.write(open.text);
    open = delta;
    if (!delta) text += `${event}\n\n`;
  }
  if (open && text === "") return count === 1 ? { bytes, delta: open } : { bytes: null, delta: open };
  if (open) text += open.write(open.text);
  return { bytes: count === 1 ? bytes : Buffer.from(text), delta: null };
}
