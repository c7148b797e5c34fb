// The fields that several formats share: a text that says something, and the options. Pure.
import { z } from "zod";
import type { SearchMode } from "@/lib/turn/chunks";

/** Longer ones are refused with 413, or where the format says so with 400. */
export const someText = z.string().refine((text) => text.trim() !== "", "must hold some text");

/** The options of snake-case bodies as a turn takes them. */
export function optionsOf(body: { model?: string; search_mode?: SearchMode; document_ids?: string[] }) {
  return { model: body.model, searchMode: body.search_mode, documentIds: body.document_ids };
}
