// The contract of a wire format: a pure function from the chunks of a turn to frames. No I/O, no clock, no storage;
// the same chunks always give the same frames, so any dialect can follow any turn, live or later.
import type { LoggedChunk } from "@/lib/turn/chunks";

export type DialectFrame = {
  /** SSE event name, only where the format has one. */
  event?: string;
  /** One line. */
  data: string;
};

/** Fed with every chunk of one turn in order; may remember what it saw. Most chunks give one frame or none. */
export type Encode = (logged: LoggedChunk) => DialectFrame[];

export interface Dialect {
  readonly name: string;
  /** A new encoder for one reader of one turn. */
  encoder(): Encode;
  /** True when a frame depends on earlier chunks: then a resumed encoder is fed from seq 1, frames up to the cursor dropped. */
  readonly remembers: boolean;
  /** Closes every complete stream, without an id: `[DONE]`. */
  readonly trailer?: string;
}
