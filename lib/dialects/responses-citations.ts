// The sources that a text cites as `[1]`, as annotations of OpenAI's formats. Pure, and linear in the text.
import type { Source } from "@/lib/turn/chunks";
import type { Annotation } from "./responses-items";

export function citationsOf(text: string, sources: Source[]): Annotation[] {
  if (sources.length === 0) return [];
  const byOrdinal = new Map(sources.map((source) => [String(source.ordinal), source]));
  return Array.from(text.matchAll(/\[(\d{1,4})\]/g)).flatMap(({ 0: marker, 1: ordinal, index }) => {
    const source = byOrdinal.get(ordinal as string);
    if (!source) return [];
    const place = { start_index: index, end_index: index + marker.length };
    return [{ type: "url_citation" as const, ...place, url: `urn:uuid:${source.documentId}`, title: source.title }];
  });
}
