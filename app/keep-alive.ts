// What goes on when its response has ended: a turn's work.
import { after } from "next/server";

/** Set by `npm start`: then no signal ends the process before its own drain, which waits for every live turn. */
const drains = process.env.NEXT_MANUAL_SIG_HANDLE === "true";

/** Elsewhere the platform is told. `work` never rejects. */
export function keepAlive(work: Promise<void>): void {
  if (!drains) after(() => work);
}
