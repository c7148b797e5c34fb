// Encoding cost per chunk for every dialect, beside the AI SDK's own JSON-to-SSE transform on the
// same chunks in the same run: a turn of many text deltas, batched like the log's, encoded into the
// blocks that are written.
// Run: node bench/encode.ts
import { registerHooks } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { JsonToSseTransformStream } from "ai";

const root = path.dirname(import.meta.dirname);
// Resolves the project's import aliases, which a bundler knows and Node does not.
registerHooks({
  resolve(specifier, context, next) {
    const ours = specifier.startsWith("@/") || (specifier.startsWith(".") && !path.extname(specifier));
    if (!ours) return next(specifier, context);
    const base = specifier.startsWith("@/") ? pathToFileURL(`${root}/`).href : context.parentURL;
    return next(new URL(`${specifier.replace(/^@\//, "./")}.ts`, base).href, context);
  },
});
type Encode = typeof import("@/lib/dialects/encode");
type Registry = typeof import("@/lib/dialects/registry");
type LoggedChunk = import("@/lib/turn/chunks").LoggedChunk;
type TurnContext = import("@/lib/turn/turn-context").TurnContext;
const { batchEncoder }: Encode = await import(new URL("../lib/dialects/encode.ts", import.meta.url).href);
const { registry }: Registry = await import(new URL("../lib/dialects/registry.ts", import.meta.url).href);

/** As many as in a long answer, so that fixed costs per turn do not count. */
const deltas = 5_000;
/** Chunks per commit while a few turns run. */
const batchSize = 4;
/** Interleaved rounds, so that a busy moment hits all alike; the median counts. */
const rounds = 41;

const turnId = "01940000-0000-7000-8000-000000000001";
const context: TurnContext = {
  turnId,
  chatId: turnId,
  messageId: turnId,
  userMessageId: turnId,
  model: "scripted",
  createdAt: "2026-01-02T03:04:05.678Z",
  view: {},
  chat: { number: 1, title: "Bench", createdAt: "", updatedAt: "", messages: [] },
};
const text = Array.from({ length: deltas }, (_, index) => ` word${index % 97}`);
const chunks = [
  { type: "start" as const, messageId: turnId },
  { type: "text-start" as const, id: "0" },
  ...text.map((delta) => ({ type: "text-delta" as const, id: "0", delta })),
  { type: "text-end" as const, id: "0" },
  { type: "finish" as const },
];
const logged: LoggedChunk[] = chunks.map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));
const batches = Array.from({ length: Math.ceil(logged.length / batchSize) }, (_, index) =>
  logged.slice(index * batchSize, (index + 1) * batchSize),
);

async function sdkTransform(): Promise<number> {
  const source = new ReadableStream<unknown>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  const reader = source.pipeThrough(new JsonToSseTransformStream()).getReader();
  let length = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) length += next.value.length;
  return length;
}

const subjects: [name: string, run: () => number | Promise<number>][] = [
  ...registry.dialects.map((dialect): [string, () => number] => [
    dialect.name,
    () => {
      const encode = batchEncoder(dialect, context, null);
      let length = 0;
      for (const batch of batches) length += encode(batch).join("").length;
      return length;
    },
  ]),
  ["AI SDK JsonToSseTransformStream", sdkTransform],
];

const times = new Map<string, number[]>(subjects.map(([name]) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, run] of subjects) {
    const startMs = performance.now();
    if ((await run()) === 0) throw new Error(`${name} encoded nothing`);
    times.get(name)?.push(((performance.now() - startMs) * 1_000) / chunks.length);
  }
}
for (const [name, values] of times) {
  const sorted = values.toSorted((x, y) => x - y);
  console.log(`${name.padEnd(34)} ${(sorted[Math.floor(rounds / 2)] ?? 0).toFixed(2)} µs a chunk`);
}
