// For tests: whether a chunk, as it travels, belongs to the AI SDK's own alphabet.
import { asSchema, uiMessageChunkSchema } from "ai";
import type { TurnChunk } from "./chunks";

const schema = asSchema(uiMessageChunkSchema);

/** Throws for a chunk that stock clients would refuse. */
export async function requireStockChunk(chunk: TurnChunk): Promise<void> {
  const result = await schema.validate?.(JSON.parse(JSON.stringify(chunk)));
  if (!result?.success) throw new Error(`Not a UI message chunk: ${JSON.stringify(chunk)}`, { cause: result?.error });
}
