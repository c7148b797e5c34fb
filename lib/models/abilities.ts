// A model's abilities and token limits, configured by the operator or reported by the model's
// server. A missing ability is unknown, and nothing is inferred from it.
import { z } from "zod";

/** Larger than any model's limit; anything above is a mistake. */
const maxTokens = 100_000_000;
const tokens = z.int().positive().max(maxTokens);
const usd = z.number().nonnegative().max(1_000_000);

export const abilities = z
  .strictObject({
    tools: z.boolean().optional().describe("Supports tools. If `false`, it gets none of the server's tools."),
    vision: z.boolean().optional().describe("Supports image input."),
    reasoning: z.boolean().optional().describe("Reasons before it answers."),
    contextTokens: tokens.optional().describe("Context window: maximum tokens of prompt and answer."),
    maxOutputTokens: tokens.optional().describe("Maximum tokens per answer."),
    price: z
      .strictObject({ inputUsd: usd, outputUsd: usd })
      .optional()
      .describe("US dollars per million input and output tokens."),
  })
  .meta({ id: "Abilities" });

export type Abilities = z.infer<typeof abilities>;
