// Content of a response's input items: text and, in user messages, images and PDFs
// (docs/protocol.md §6.7). Pure.
import { z } from "zod";
import { AppError } from "@/lib/errors";
import type { ChatMessage } from "@/lib/turn/chunks";
import { imageUrl, messagePart, pdfData } from "./openai-prompt";

type Part = ChatMessage["parts"][number];

const none = z.null({ error: "is not supported" }).optional();
const contentPart = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.enum(["input_text", "output_text", "text", "summary_text"]), text: z.string() }),
    z.object({ type: z.literal("refusal"), refusal: z.string() }),
    z.object({
      type: z.literal("input_image"),
      image_url: imageUrl,
      detail: z.enum(["auto", "low", "high", "original"]).nullish(),
      file_id: none,
    }),
    z.object({
      type: z.literal("input_file"),
      file_data: pdfData,
      filename: z.string().max(255).optional(),
      file_id: none,
      file_url: none,
    }),
  ],
  { error: "must be text, input_image or input_file" },
);
type ContentPart = z.output<typeof contentPart>;
/**
 * Accepts a string in place of a list. Not a union: its errors would name the union instead of the
 * wrong field.
 */
export function orText<T extends z.ZodArray>(list: T, listOf: (text: string) => unknown[]) {
  return z
    .preprocess((value) => (typeof value === "string" ? listOf(value) : value), list)
    .meta({ type: ["string", "array"] });
}

export const messageContent = orText(z.array(contentPart, { error: "must be a string or a list of parts" }), (text) => [
  { type: "input_text", text },
]);

export function userPart(part: ContentPart): Part {
  switch (part.type) {
    case "input_image":
      return messagePart({ type: "image_url", image_url: { url: part.image_url, detail: part.detail } });
    case "input_file":
      return messagePart({ type: "file", file: { file_data: part.file_data, filename: part.filename } });
    case "refusal":
      return { type: "text", text: part.refusal };
    default:
      return { type: "text", text: part.text };
  }
}

export function plain(text: ContentPart[], field: string): string {
  const texts = text.map(userPart).map((part) => (part.type === "text" ? part.text : null));
  if (texts.includes(null))
    throw new AppError("bad_request", `${field}: only a user's message may hold more than text`);
  return texts.join("\n");
}
