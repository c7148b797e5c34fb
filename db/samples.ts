// Statements on the samples: documents without an owner, one set for all users of a database.
import { advisoryLocks } from "./advisory-locks";
import "server-only";
import { sql } from "drizzle-orm";
import { database, pool, sweep } from "./client";
import { insertPassages, type NewDocument, type NewPassage } from "./documents";
import { documents } from "./schema";

export type NewSample = NewDocument & { fingerprint: string };

/** File name → fingerprint. */
export async function readSampleFingerprints(): Promise<Map<string, string | null>> {
  const rows = await pool().sql`select filename, fingerprint from documents where user_id is null`;
  return new Map(rows.map(({ filename, fingerprint }) => [filename, fingerprint]));
}

/**
 * Creates the sample with its passages, or updates the one with that file name, which keeps its id.
 * One transaction; of several servers only one does it.
 */
export async function storeSample(sample: NewSample, parts: Omit<NewPassage, "documentId">[]): Promise<void> {
  await database().transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${advisoryLocks.samples})`);
    const { id: _, ...values } = sample;
    const [stored] = await tx
      .insert(documents)
      .values({ ...sample, userId: null })
      .onConflictDoUpdate({
        target: documents.filename,
        targetWhere: sql`user_id is null`,
        set: values,
        setWhere: sql`documents.fingerprint is distinct from ${sample.fingerprint}`,
      })
      .returning({ id: documents.id });
    // Another server was faster.
    if (!stored) return;
    await tx.execute(sql`delete from passages where document_id = ${stored.id}`);
    await insertPassages(
      tx,
      null,
      parts.map((part) => ({ ...part, documentId: stored.id })),
    );
  });
}

/** Deletes samples that only an older version had. */
export async function deleteOtherSamples(filenames: string[]): Promise<void> {
  await pool().sql`delete from documents where user_id is null and filename <> all(${filenames}::text[])`;
}

/**
 * Deletes the sample copies that older versions made, for up to `limit` users. Samples such a user
 * had deleted stay hidden. Returns the number of users.
 */
export async function deleteSampleCopies(filenames: string[], limit: number): Promise<number> {
  return sweep(async (sql) => {
    const rows = await sql`
      select distinct user_id from documents where sample and user_id is not null order by user_id limit ${limit}`;
    const owners = rows.map((row) => row.user_id as string);
    if (owners.length === 0) return 0;
    await sql`
      insert into hidden_samples (user_id, filename)
      select owner, filename from unnest(${owners}::uuid[]) as owner cross join unnest(${filenames}::text[]) as filename
      where exists (select from users where users.id = owner) and not exists (
        select from documents where documents.user_id = owner and documents.sample and documents.filename = filename.filename
      )
      on conflict do nothing`;
    await sql`delete from documents where user_id = any(${owners}::uuid[]) and sample`;
    return owners.length;
  });
}
