// Test helper: checks a chunk, as serialized, against the AI SDK's own schema.
import { asSchema, uiMessageChunkSchema } from "ai";
import type { TurnChunk } from "./chunks";

const schema = asSchema(uiMessageChunkSchema);

/** Throws if stock clients would reject the chunk. */
export async function requireStockChunk(chunk: TurnChunk): Promise<void> {
  const result = await schema.validate?.(JSON.parse(JSON.stringify(chunk)));
  if (!result?.success) throw new Error(`Not a UI message chunk: ${JSON.stringify(chunk)}`, { cause: result?.error });
}
