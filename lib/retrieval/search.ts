// Finds and ranks the passages that answer a question (docs/protocol.md §4, source-document).
// Relevance is decided here; the index queries are in db/documents.ts.
import { validate } from "uuid";
import { countDocumentRows, lexemesOf, type PassageHit, searchPassages } from "@/db/documents";
import type { Source } from "@/lib/turn/chunks";
import { visibleLine } from "@/lib/turn/foreign-text";
import { contentWords } from "@/lib/words";

/** Six passages of about 1,000 characters: enough to answer, and still checkable by a reader. */
const maxSources = 6;
/** Near-duplicates are removed later, so fetch more than are shown. */
const fetched = 4 * maxSources;
/** Just above one rare word of three: less is a shared word, not an answer. */
const minShare = 0.34;
/** A passage this much weaker than the best adds noise to the prompt. */
const minShareOfBest = 0.4;
/**
 * Passages sharing this much of the smaller one's words are duplicates (overlap, or a file uploaded
 * twice).
 */
const duplicateThreshold = 0.8;
/**
 * Characters and lexemes of a question that are used; a longer one is pasted text and clear enough
 * by then.
 */
const questionLength = 2000;
const maxLexemes = 32;

/** Lexemes of how people ask, which say nothing about the subject. */
const askingLexemes = new Set(
  `pleas tell explain describ show give know want like can could would use work happen mean see often mani thank hello hi hey`.split(
    /\s+/,
  ),
);

export type SearchScope = {
  /**
   * Restricts to these documents; unknown and other users' ids are ignored. Undefined: all of the
   * user's.
   */
  documentIds?: string[];
  limit?: number;
};

/**
 * Best first, ordinals 1, 2, 3 …, at most six. Empty if nothing in scope fits, or if the question
 * has no searchable words. Any text is a valid query; there are no operators.
 */
export async function search(
  userId: string,
  query: string,
  { documentIds, limit }: SearchScope = {},
): Promise<Source[]> {
  const ids = documentIds?.filter((id) => validate(id));
  if (ids?.length === 0) return [];
  const lexemes = await lexemesOf(query.slice(0, questionLength).toWellFormed().replaceAll("\0", " "));
  const searched = lexemes.filter((lexeme) => !askingLexemes.has(lexeme)).slice(0, maxLexemes);
  if (searched.length === 0) return [];

  const hits = await searchPassages(userId, { lexemes: searched, documentIds: ids, minShare, limit: fetched });
  const strong = hits.filter(({ score }) => score >= minShareOfBest * (hits[0]?.score ?? 0));
  return distinct(strong)
    .slice(0, Math.min(limit ?? maxSources, maxSources))
    .map((hit, index) => sourceOf(hit, index + 1));
}

/** Number of documents a search with this scope would cover. */
export async function countDocuments(userId: string, documentIds?: string[]): Promise<number> {
  const ids = documentIds?.filter((id) => validate(id));
  return ids?.length === 0 ? 0 : countDocumentRows(userId, ids);
}

function distinct(hits: PassageHit[]): PassageHit[] {
  const kept: { hit: PassageHit; words: Set<string> }[] = [];
  for (const hit of hits) {
    const words = new Set(contentWords(hit.text));
    if (!kept.some((other) => overlap(other.words, words) >= duplicateThreshold)) kept.push({ hit, words });
  }
  return kept.map(({ hit }) => hit);
}

function overlap(a: Set<string>, b: Set<string>): number {
  const shared = a.intersection(b).size;
  return shared === 0 ? 0 : shared / Math.min(a.size, b.size);
}

function sourceOf(hit: PassageHit, ordinal: number): Source {
  return {
    sourceId: hit.id,
    mediaType: hit.mediaType,
    title: visibleLine(hit.title),
    filename: visibleLine(hit.filename),
    ordinal,
    score: Math.round(hit.score * 1000) / 1000,
    text: hit.text,
    documentId: hit.documentId,
    chunkId: hit.id,
    metadata: { ...(hit.heading && { heading: visibleLine(hit.heading) }), position: hit.ordinal },
  };
}
