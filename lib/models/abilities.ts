// A model's abilities and token limits, configured by the operator or reported by the model's
// server. A missing ability is unknown, and nothing is inferred from it.
import { z } from "zod";

/** Larger than any model's limit; anything above is a mistake. */
const maxTokens = 100_000_000;
const tokens = z.int().positive().max(maxTokens);
const usd = z.number().nonnegative().max(1_000_000);

export const abilities = z
  .strictObject({
    tools: z.boolean().optional().describe("It takes tools. With `false` it is offered none of the server's."),
    vision: z.boolean().optional().describe("It reads images."),
    reasoning: z.boolean().optional().describe("It thinks before it answers."),
    contextTokens: tokens.optional().describe("The most tokens of prompt and answer together."),
    maxOutputTokens: tokens.optional().describe("The most tokens of an answer."),
    price: z
      .strictObject({ inputUsd: usd, outputUsd: usd })
      .optional()
      .describe("US dollars for a million tokens of prompt and of answer."),
  })
  .meta({ id: "Abilities" });

export type Abilities = z.infer<typeof abilities>;
