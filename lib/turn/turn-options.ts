// Schemas for what any client may set on a turn besides its text; the native endpoints and all
// dialects parse with them (docs/protocol.md §5 and §6). Shapes only: no routes, no lookups.
import { z } from "zod";

/** Characters in a client-chosen id. */
export const maxIdLength = 128;

/** Client-chosen ids: UUIDs, stock `useChat` ids, or any other visible name or number. */
export const clientId = z
  .string()
  .regex(
    new RegExp(`^[^\\p{Z}\\p{Cc}\\p{Cf}\\p{Cs}]{1,${maxIdLength}}$`, "u"),
    `must be 1 to ${maxIdLength} visible characters`,
  );

export const modelName = z.string().max(200).describe("A model from the catalogue. Default: the first.");
export const searchMode = z
  .enum(["all", "selected", "none"])
  .describe("Which documents to search. Default: `selected` if documents are named, else `all`.");
export const documentIds = z.array(z.uuid()).max(1_000).describe("With `selected`: the documents to search.");

/** Optional fields every dialect accepts. */
export const turnOptions = {
  model: modelName.optional(),
  searchMode: searchMode.optional(),
  documentIds: documentIds.optional(),
};

/** The same for dialects in snake case. */
export const snakeTurnOptions = {
  model: modelName.optional(),
  search_mode: searchMode.optional(),
  document_ids: documentIds.optional(),
};

/** A chat by id, or by the user's own small number for it. */
export type ChatReference = { id: string } | { number: number };

/** Fits the database column; a longer run of digits is an id. */
const digits = /^[1-9]\d{0,8}$/;

/** True if a path segment may be a chat number. */
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
