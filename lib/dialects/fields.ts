// Request fields shared by several formats: non-blank text, and the options. Pure.
import { z } from "zod";
import type { SearchMode } from "@/lib/turn/chunks";

/** Length limits are enforced elsewhere, with 413 or, if the format says so, 400. */
export const nonBlankText = z.string().refine((text) => text.trim() !== "", "must contain text");

/** A question in a chat. */
export function asQuestion(id: string, text: string) {
  return { trigger: "submit-message" as const, message: { id, parts: [{ type: "text" as const, text }] } };
}

/** Snake-case options as turn options. */
export function optionsOf(body: { model?: string; search_mode?: SearchMode; document_ids?: string[] }) {
  return { model: body.model, searchMode: body.search_mode, documentIds: body.document_ids };
}
