// Keeps a turn running after its response has ended.
import { after } from "next/server";

/** Set by `npm start`: signals then start the server's drain, which waits for live turns. */
const drains = process.env.NEXT_MANUAL_SIG_HANDLE === "true";

/** Elsewhere Next's `after()` keeps the process alive. `work` never rejects. */
export function keepAlive(work: Promise<void>): void {
  if (!drains) after(() => work);
}
