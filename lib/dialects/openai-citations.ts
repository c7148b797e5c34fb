// An answer's sources as OpenAI `url_citation` annotations (docs/protocol.md §6.6): web pages cited
// by a model, and document passages cited in the text. Pure, linear in the answer.
import type { ChatMessage, Source, TurnChunk } from "@/lib/turn/chunks";

export type Page = { url: string; title: string };

export type UrlCitation = {
  type: "url_citation";
  url_citation: Page & { start_index: number; end_index: number };
};

/** Matches `[1]` and `[2, 3]`, but not link text. */
const citation = /\[(\d{1,3}(?: ?, ?\d{1,3}){0,20})\](?!\()/g;
/** An answer with more citations is just a list of citations. */
const maxAnnotations = 200;

export function pageOf(part: TurnChunk | ChatMessage["parts"][number]): Page | null {
  return part.type === "source-url" ? { url: part.url, title: part.title ?? part.url } : null;
}

/** Positions are UTF-16 offsets in the text, as in JavaScript. */
export function annotationsOf(text: string, sources: Source[], pages: Page[]): UrlCitation[] {
  const byOrdinal = new Map(sources.map((source) => [source.ordinal, source]));
  const found = pages.map((page) => annotation(page, 0, text.length));
  if (byOrdinal.size > 0)
    for (const { 0: mark, 1: ordinals = "", index } of text.matchAll(citation)) {
      for (const ordinal of ordinals.split(",")) {
        const source = byOrdinal.get(Number(ordinal));
        if (source) found.push(annotation({ url: addressOf(source), title: source.title }, index, index + mark.length));
      }
      if (found.length >= maxAnnotations) break;
    }
  return found.slice(0, maxAnnotations);
}

/** A path on this server. */
function addressOf({ documentId }: Source): string {
  return `/api/documents/${documentId}`;
}

function annotation({ url, title }: Page, start: number, end: number): UrlCitation {
  return { type: "url_citation", url_citation: { url, title, start_index: start, end_index: end } };
}
