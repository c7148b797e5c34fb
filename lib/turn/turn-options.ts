// What every client may set for a turn besides its text, as schemas: the native endpoints and all dialects parse with
// these (docs/protocol.md §5 and §6). Shapes only: nothing of a route, nothing that looks anything up.
import { z } from "zod";

/** Ids that clients choose: UUIDs, and what stock `useChat` makes. */
export const clientId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{8,64}$/, "must be 8 to 64 characters of A-Z, a-z, 0-9, _ and -");

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

/** `"7c9e6679-…"`, `12` or `"12"`. */
export const chatReference = z
  .union([z.int().positive().max(999_999_999), z.string().regex(digits), clientId], {
    error: "must be a UUID or the small number of a chat",
  })
  .transform((value): ChatReference => {
    if (typeof value === "number") return { number: value };
    return digits.test(value) ? { number: Number(value) } : { id: value };
  });
