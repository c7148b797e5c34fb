// The process that parses one uploaded file: bytes on stdin, messages to the parent
// (parse-process.ts), exit. Run by plain Node outside the bundle (`scripts/imports.mjs` resolves
// its imports). It has no environment, may read only the code, and may neither write nor spawn; the
// parent kills it if it takes too long or grows too large.
import { buffer } from "node:stream/consumers";
import { type ParseFailure, parseDocument } from "./parse";
import type { Passage } from "./passages";

/** `ready` before the file is read, any number of `passages`, then one of the others. */
export type ParseMessage =
  | { type: "ready" }
  | { type: "passages"; passages: Passage[] }
  | { type: "document"; title: string; mediaType: string }
  | { type: "failure"; failure: ParseFailure };

/** Passages per message: about a quarter of a megabyte, which the parent reads in a millisecond. */
const passagesAtOnce = 250;

async function run(): Promise<void> {
  // Without a parent nobody wants the result.
  process.on("disconnect", () => process.exit(0));
  await send({ type: "ready" });
  const parsed = await parseDocument({ filename: process.argv[2] ?? "", bytes: await buffer(process.stdin) });
  if (typeof parsed === "string") return send({ type: "failure", failure: parsed });
  const { passages, ...document } = parsed;
  for (let start = 0; start < passages.length; start += passagesAtOnce)
    await send({ type: "passages", passages: passages.slice(start, start + passagesAtOnce) });
  await send({ type: "document", ...document });
}

function send(message: ParseMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}

await run();
process.exit(0);
