// Schemas shared by several formats, for the API description. They describe what `frames.ts` and the
// formats write; tests verify that. Output is not validated with them at runtime.
import { z } from "zod";

export const time = z.iso.datetime({ offset: true });

/** `showUsage` of frames.ts. */
export const usageShape = z
  .object({ input_tokens: z.int(), output_tokens: z.int(), total_tokens: z.int() })
  .nullable()
  .describe("Null if the answer ended before its provider reported it.");

/** `showSource` of frames.ts. */
export const sourceShape = z.object({
  text: z.string(),
  score: z.number().describe("0 to 1."),
  metadata: z.looseObject({
    document_id: z.string(),
    title: z.string(),
    filename: z.string(),
    chunk_id: z.string(),
    ordinal: z.int().describe("The number the answer cites it by: `[1]`."),
  }),
});

/** An error before the first byte, with its message in `field`. */
export function failureShape<Field extends string>(field: Field) {
  return z.object({
    type: z.literal("error"),
    [field]: z.string(),
    code: z.string(),
    requestId: z.string(),
    turnId: z.string().optional().describe("With `turn_running`: the running turn."),
  });
}
