// Queries on `documents` and `passages`. Every one takes the owner; another user's rows do not exist for it.
// What a passage is and what a score means is decided in lib/retrieval; here are only rows.
import { and, count, desc, eq, inArray, sql } from "drizzle-orm";
import { type Database, database, pool } from "./client";
import { fairShare } from "./fair-share";
import { documents } from "./schema";

export type DocumentRow = typeof documents.$inferSelect;
export type NewDocument = Omit<DocumentRow, "userId" | "createdAt">;
export type NewPassage = { id: string; documentId: string; ordinal: number; heading: string; text: string };

/** Rows a statement: about a quarter of a megabyte, far within the limit of a statement on any machine. */
const batchSize = 250;

/** All documents with all their passages, or none of them. */
export async function insertDocuments(
  userId: string,
  added: NewDocument[],
  parts: NewPassage[],
): Promise<DocumentRow[]> {
  if (added.length === 0) return [];
  const store = async (tx: Database) => {
    const rows = await tx
      .insert(documents)
      .values(added.map((document) => ({ ...document, userId })))
      .returning();
    for (let start = 0; start < parts.length; start += batchSize) {
      // One parameter for all rows: Drizzle's own multi-row insert costs more than Postgres does.
      const batch = JSON.stringify(parts.slice(start, start + batchSize));
      await tx.execute(sql`
        insert into passages (id, user_id, document_id, ordinal, heading, text)
        select id, ${userId}::uuid, "documentId", ordinal, heading, text
        from json_to_recordset(${batch}::json) as row(id uuid, "documentId" uuid, ordinal int, heading text, text text)`);
    }
    return rows;
  };
  return fairShare(userId, () => database().transaction(store));
}

export async function findDocument(userId: string, id: string): Promise<DocumentRow | null> {
  const [row] = await database()
    .select()
    .from(documents)
    .where(and(eq(documents.userId, userId), eq(documents.id, id)));
  return row ?? null;
}

/** Newest first. */
export async function listDocumentRows(userId: string): Promise<DocumentRow[]> {
  return database()
    .select()
    .from(documents)
    .where(eq(documents.userId, userId))
    .orderBy(desc(documents.createdAt), desc(documents.id));
}

/** False when there is no such document. Its passages go with it. */
export async function deleteDocumentRow(userId: string, id: string): Promise<boolean> {
  const deleted = await database()
    .delete(documents)
    .where(and(eq(documents.userId, userId), eq(documents.id, id)))
    .returning({ id: documents.id });
  return deleted.length > 0;
}

/** Without `documentIds` all documents of the user; with it, those of the list that are the user's. */
export async function countDocumentRows(userId: string, documentIds?: string[]): Promise<number> {
  const [row] = await database()
    .select({ documents: count() })
    .from(documents)
    .where(and(eq(documents.userId, userId), documentIds && inArray(documents.id, documentIds)));
  return row?.documents ?? 0;
}

/** The lexemes the index would hold for this text, each once; stop words have none. */
export async function lexemesOf(text: string): Promise<string[]> {
  const [row] = await database().execute<{ lexemes: string[] }>(
    sql`select tsvector_to_array(to_tsvector('english', ${text})) as lexemes`,
  );
  return row?.lexemes ?? [];
}

export type PassageHit = {
  id: string;
  documentId: string;
  title: string;
  filename: string;
  mediaType: string;
  ordinal: number;
  heading: string;
  text: string;
  score: number;
};

export type PassageQuery = { lexemes: string[]; documentIds?: string[]; leastShare: number; limit: number };

/** A passage is about what its heading says; in the text a word may only be mentioned. */
const headingBoost = 1.5;

/**
 * The passages that hold at least one of the lexemes, best first, with a score in 0..1: the share of the question's
 * weight that the passage holds, times 0.75 to 1 for how often and where (ts_rank_cd). A lexeme's weight falls with the
 * number of passages in scope that hold it; one that none holds weighs as much as one that a single passage holds.
 * Passages with a share below `leastShare` are left out.
 */
export async function searchPassages(userId: string, query: PassageQuery): Promise<PassageHit[]> {
  const quoted = query.lexemes.map(quoteLexeme);
  const documentIds = query.documentIds ? `{${query.documentIds.join(",")}}` : null;
  const values = [userId, documentIds, quoted.join(" | "), JSON.stringify(quoted), query.leastShare, query.limit];
  // `unsafe` does not prepare: each call is planned for its own values. Only a plan that knows the owner, the documents
  // and the whole question can choose between the index of the words and the index of the owner. A prepared statement
  // switches to a generic plan at its sixth call, which is four times slower at 100,000 passages.
  return fairShare(userId, () => pool().sql.unsafe<PassageHit[]>(passageStatement, values));
}

const passageScope = "user_id = $1::uuid and ($2::uuid[] is null or document_id = any($2::uuid[]))";
const passageStatement = `
  with hits as materialized (
    select id, tsv, ts_rank_cd(tsv, $3::tsquery, 33) as rank from passages where ${passageScope} and tsv @@ $3::tsquery
  ),
  total as (select count(*)::float8 as n from passages where ${passageScope}),
  lexemes as materialized (
    select value::tsquery as lexeme, (value || ':A')::tsquery as in_heading, ordinality as number
    from json_array_elements_text($4::text::json) with ordinality
  ),
  held as materialized (
    select hits.id, lexemes.number,
      case when hits.tsv @@ lexemes.in_heading then ${headingBoost} else 1 end::float8 as boost
    from hits join lexemes on hits.tsv @@ lexemes.lexeme
  ),
  weights as materialized (
    select lexemes.number,
      0.5 + ln(1 + (total.n - greatest(count(held.id), 1) + 0.5) / (greatest(count(held.id), 1) + 0.5)) as weight
    from lexemes cross join total left join held on held.number = lexemes.number
    group by lexemes.number, total.n
  ),
  shares as (
    select held.id, least(1, sum(weights.weight * held.boost) / (select sum(weight) from weights)) as share
    from held join weights using (number) group by held.id
  ),
  best as (
    select hits.id, shares.share * (0.75 + 0.25 * hits.rank) as score
    from hits join shares using (id)
    where shares.share >= $5::float8
    order by score desc, hits.id
    limit $6::int
  )
  select p.id, p.document_id as "documentId", d.title, d.filename, d.media_type as "mediaType",
    p.ordinal, p.heading, p.text, best.score::float8 as score
  from best join passages p on p.id = best.id join documents d on d.id = p.document_id
  order by best.score desc, p.id`;

/** Within quotes tsquery knows two signs only; so no lexeme can become an operator. */
function quoteLexeme(lexeme: string): string {
  return `'${lexeme.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
