// OpenAI's embeddings (docs/protocol.md §6.6): the one route of dialect `openai` that is not a
// turn. Pure.
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { modelName } from "@/lib/turn/turn-options";
import type { Embedded, EmbeddingInput } from "./dialect";
import { withoutNulls } from "./openai-fields";

/** OpenAI's own limit. */
const maxInputs = 2_048;
const text = z.string().min(1, "must not be empty");

export const embeddingBody = z.strictObject({
  model: modelName.optional(),
  input: z.union([text, z.array(text).min(1).max(maxInputs)], {
    error: `must be a text or a list of up to ${maxInputs} texts, none empty; tokens are not taken`,
  }),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().positive().max(100_000).nullish(),
  user: z.string().max(2_000).nullish(),
});
type Body = z.output<typeof embeddingBody>;

export const embeddingAnswer = z.object({
  object: z.literal("list"),
  model: z.string(),
  data: z.array(
    z.object({
      object: z.literal("embedding"),
      index: z.int(),
      embedding: z
        .union([z.array(z.number()), z.string()])
        .describe("Numbers, or with `base64` their 32-bit floats, little-endian."),
    }),
  ),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});

export function embeddingInputOf({ model, input, dimensions, user }: Body, maxCharacters: number): EmbeddingInput {
  const texts = typeof input === "string" ? [input] : input;
  if (texts.reduce((sum, each) => sum + each.length, 0) > maxCharacters)
    throw new AppError(
      "too_large",
      `input: is longer than ${maxCharacters} characters. Nothing was sent; send it in parts.`,
    );
  return { model, texts, fields: withoutNulls({ dimensions, user }) };
}

export function showEmbeddings({ model, embeddings, tokens }: Embedded, { encoding_format: format }: Body): object {
  return {
    object: "list",
    model,
    data: embeddings.map((numbers, index) => ({
      object: "embedding",
      index,
      embedding: format === "base64" ? base64Of(numbers) : numbers,
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function base64Of(numbers: number[]): string {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [index, number] of numbers.entries()) bytes.writeFloatLE(number, 4 * index);
  return bytes.toString("base64");
}
