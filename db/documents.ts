// Queries on `documents` and `passages`, each filtered by owner. A user sees own documents and the
// samples, which have no owner (db/samples.ts), except samples this user has hidden. lib/retrieval
// defines passages and scores; here are only rows.
import { and, count, desc, eq, getTableColumns, inArray, isNull, not, or, type SQL, sql } from "drizzle-orm";
import { type Ceilings, requireCapacity } from "./ceilings";
import { type Database, database, pool, sweep } from "./client";
import { fairShare } from "./fair-share";
import { documents } from "./schema";

export type DocumentRow = typeof documents.$inferSelect;
export type NewDocument = Omit<DocumentRow, "userId" | "createdAt" | "fingerprint">;
export type NewPassage = { id: string; documentId: string; ordinal: number; heading: string; text: string };

/** Rows per statement: about 256 kB, far within the statement limit on any machine. */
const batchSize = 250;

/** Inserts all documents with all passages, or none. Raises RV001 above a ceiling. */
export async function insertDocuments(
  userId: string,
  added: NewDocument[],
  parts: NewPassage[],
  ceilings: Ceilings = {},
): Promise<DocumentRow[]> {
  if (added.length === 0) return [];
  const store = async (tx: Database) => {
    const rows = await tx
      .insert(documents)
      .values(added.map((document) => ({ ...document, userId })))
      .returning();
    await insertPassages(tx, userId, parts);
    await tx.execute(requireCapacity(userId, ceilings));
    return rows;
  };
  return fairShare(userId, () => database().transaction(store));
}

export async function insertPassages(tx: Database, userId: string | null, parts: NewPassage[]): Promise<void> {
  for (let start = 0; start < parts.length; start += batchSize) {
    // One JSON parameter for all rows: building Drizzle's multi-row insert costs more than Postgres
    // spends on it.
    const batch = JSON.stringify(parts.slice(start, start + batchSize));
    await tx.execute(sql`
      insert into passages (id, user_id, document_id, ordinal, heading, text)
      select id, ${userId}::uuid, "documentId", ordinal, heading, text
      from json_to_recordset(${batch}::json) as row(id uuid, "documentId" uuid, ordinal int, heading text, text text)`);
  }
}

/** What a user sees. Copies of samples are excluded: the samples themselves stand in for them. */
function visibleTo(userId: string): SQL | undefined {
  const hidden = sql`exists (
    select from hidden_samples where hidden_samples.user_id = ${userId}::uuid and hidden_samples.filename = ${documents.filename}
  )`;
  return or(and(eq(documents.userId, userId), not(documents.sample)), and(isNull(documents.userId), not(hidden)));
}

export async function findDocument(userId: string, id: string): Promise<DocumentRow | null> {
  const [row] = await database()
    .select()
    .from(documents)
    .where(and(visibleTo(userId), eq(documents.id, id)));
  return row ?? null;
}

/** Where a page of a list ordered by creation ended. */
type CreatedCursor = { createdAt: string; id: string };

/** Newest first. */
export async function listDocumentRows(
  userId: string,
  { after, limit }: { after?: CreatedCursor; limit: number },
): Promise<(DocumentRow & { cursor: CreatedCursor })[]> {
  const { createdAt, id } = documents;
  const rows = await database()
    .select({ ...getTableColumns(documents), exactCreatedAt: sql<string>`${createdAt}::text` })
    .from(documents)
    .where(
      and(
        visibleTo(userId),
        after && sql`(${createdAt}, ${id}) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`,
      ),
    )
    .orderBy(desc(createdAt), desc(id))
    .limit(limit);
  return rows.map(({ exactCreatedAt, ...row }) => ({ ...row, cursor: { createdAt: exactCreatedAt, id: row.id } }));
}

/**
 * Deletes the document with its passages; hides a sample from this user. False when the user sees
 * no such document.
 */
export async function deleteDocumentRow(userId: string, id: string): Promise<boolean> {
  const [row] = await pool().sql`
    with hidden as (
      insert into hidden_samples (user_id, filename)
      select ${userId}::uuid, filename from documents
      where id = ${id}::uuid and sample and (user_id is null or user_id = ${userId}::uuid)
      on conflict do nothing
      returning 1
    ), deleted as (
      delete from documents where id = ${id}::uuid and user_id = ${userId}::uuid returning 1
    )
    select exists (select from hidden) or exists (select from deleted) as found`;
  return row?.found ?? false;
}

/** Deletes up to `limit` of the user's own documents, for a sweep. Returns how many. */
export async function deleteSomeDocuments(userId: string, limit: number): Promise<number> {
  const result = await sweep(
    (sql) => sql`
    delete from documents where id = any(array(select id from documents where user_id = ${userId}::uuid limit ${limit}))`,
  );
  return result.count;
}

/** Counts all documents visible to the user, or those in `documentIds`. */
export async function countDocumentRows(userId: string, documentIds?: string[]): Promise<number> {
  const [row] = await database()
    .select({ documents: count() })
    .from(documents)
    .where(and(visibleTo(userId), documentIds && inArray(documents.id, documentIds)));
  return row?.documents ?? 0;
}

/** The distinct lexemes that the index would hold for this text; stop words have none. */
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

export type PassageQuery = { lexemes: string[]; documentIds?: string[]; minShare: number; limit: number };

/** A heading names the passage's subject; in the text a word may only be mentioned. */
const headingBoost = 1.5;

/**
 * The passages with at least one of the lexemes, best first, with a score in 0..1: the passage's
 * share of the question's weight, times 0.75 to 1 for frequency and position (ts_rank_cd). A
 * lexeme's weight falls with the number of passages in scope that contain it; one in no passage
 * weighs as much as one in a single passage. Passages with a share below `minShare` are excluded.
 */
export async function searchPassages(userId: string, query: PassageQuery): Promise<PassageHit[]> {
  const quoted = query.lexemes.map(quoteLexeme);
  const documentIds = query.documentIds ? `{${query.documentIds.join(",")}}` : null;
  const values = [userId, documentIds, quoted.join(" | "), JSON.stringify(quoted), query.minShare, query.limit];
  // `unsafe` does not prepare: each call is planned for its own values. Only a plan that knows the
  // owner, the documents and the whole question can choose between the word index and the owner
  // index. A prepared statement switches to a generic plan at its sixth call, which is four times
  // slower at 100,000 passages.
  return fairShare(userId, () => pool().sql.unsafe<PassageHit[]>(passageStatement, values));
}

const userPassages = "user_id = $1::uuid and ($2::uuid[] is null or document_id = any($2::uuid[]))";
/** Two scans rather than one with `or`: each has its own index, and samples are few. */
const samplePassages = "user_id is null and document_id = any(array(select id from samples))";
const matching = "select id, tsv, ts_rank_cd(tsv, $3::tsquery, 33) as rank from passages where tsv @@ $3::tsquery and";
const passageStatement = `
  with samples as (
    select id from documents
    where user_id is null and ($2::uuid[] is null or id = any($2::uuid[])) and not exists (
      select from hidden_samples where hidden_samples.user_id = $1::uuid and hidden_samples.filename = documents.filename
    )
  ),
  hits as materialized (${matching} ${userPassages} union all ${matching} ${samplePassages}),
  total as (
    select ((select count(*) from passages where ${userPassages}) + (select count(*) from passages where ${samplePassages}))::float8 as n
  ),
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

/** A quoted tsquery string has only two special characters, so no lexeme can become an operator. */
function quoteLexeme(lexeme: string): string {
  return `'${lexeme.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
