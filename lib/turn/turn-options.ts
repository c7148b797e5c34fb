// What every client may set for a turn besides its text, as schemas: the native endpoints and all dialects parse with
// these (docs/protocol.md §5 and §6). Shapes only: nothing of a route, nothing that looks anything up.
import { z } from "zod";

/** Of an id that a client chose, in characters. */
export const maxIdLength = 128;

/** Ids that clients choose: UUIDs, what stock `useChat` makes, and whatever else a client counts or names by. */
export const clientId = z
  .string()
  .regex(
    new RegExp(`^[^\\p{Z}\\p{Cc}\\p{Cf}\\p{Cs}]{1,${maxIdLength}}$`, "u"),
    `must be 1 to ${maxIdLength} visible characters`,
  );

export const modelName = z.string().max(200).describe("A model of the catalogue. Default: its first.");
export const searchMode = z
  .enum(["all", "selected", "none"])
  .describe("Which documents are searched. Default: `selected` where documents are named, else `all`.");
export const documentIds = z.array(z.uuid()).max(1_000).describe("With `selected`: the documents to search.");

/** The optional fields that every dialect accepts. */
export const turnOptions = {
  model: modelName.optional(),
  searchMode: searchMode.optional(),
  documentIds: documentIds.optional(),
};

/** The same where a dialect spells its fields in snake case. */
export const snakeTurnOptions = {
  model: modelName.optional(),
  search_mode: searchMode.optional(),
  document_ids: documentIds.optional(),
};

/** A chat by its id, or by the user's own small number for it. */
export type ChatReference = { id: string } | { number: number };

/** Fits the column that holds it; the digits of a longer one are an id. */
const digits = /^[1-9]\d{0,8}$/;

/** Whether a path segment may be the small number of a chat. */
export function isChatNumber(text: string): boolean {
  return digits.test(text);
}

/** `"7c9e6679-…"`, `12` or `"12"`. */
export const chatReference = z
  .union([z.int().positive().max(999_999_999), z.string().regex(digits), clientId], {
    error: "must be a UUID or the small number of a chat",
  })
  .transform((value): ChatReference => {
    if (typeof value === "number") return { number: value };
    return digits.test(value) ? { number: Number(value) } : { id: value };
  });
