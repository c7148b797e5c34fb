// The samples: this project's own documents, so that a first question finds something. One set per
// database, owned by nobody; a user who deletes one no longer sees it.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { v7 as uuidv7 } from "uuid";
import { deleteOtherSamples, deleteSampleCopies, readSampleFingerprints, storeSample } from "@/db/samples";
import { logger } from "@/lib/logger";
import { type PreparedDocument, preparedOf } from "./ingest";
import { parseDocument } from "./parse";

/** Relative to the project's directory. */
const sampleFiles = ["README.md", "ARCHITECTURE.md", "docs/protocol.md", "docs/operations.md"];
const sampleNames = sampleFiles.map((file) => path.basename(file));

/** Updates the samples in the database to match the files. An unreadable one stays as it is. */
export async function refreshSamples(): Promise<void> {
  const known = await readSampleFingerprints();
  for (const document of await Promise.all(sampleFiles.map(readSample))) {
    if (!document) continue;
    const { passages, ...values } = document;
    // Hashes the passages, so that a change of the splitter counts too.
    const fingerprint = createHash("sha256")
      .update(JSON.stringify([values.title, passages]))
      .digest("base64url");
    if (known.get(values.filename) === fingerprint) continue;
    const parts = passages.map((passage, index) => ({ ...passage, id: uuidv7(), ordinal: index + 1 }));
    await storeSample({ ...values, id: uuidv7(), sample: true, fingerprint }, parts);
  }
  if ([...known.keys()].some((filename) => !sampleNames.includes(filename))) await deleteOtherSamples(sampleNames);
}

/**
 * Deletes the copies that older versions created, for up to `limit` users. Returns the number of
 * users.
 */
export function removeSampleCopies(limit: number): Promise<number> {
  return deleteSampleCopies(sampleNames, limit);
}

async function readSample(file: string): Promise<PreparedDocument | null> {
  try {
    const bytes = await readFile(path.join(/* turbopackIgnore: true */ process.cwd(), file));
    const sample = { filename: path.basename(file), bytes };
    // The project's own text needs no separate process.
    const parsed = await parseDocument(sample);
    if (typeof parsed === "string") throw new Error(`A sample document cannot be used: ${parsed}.`);
    return preparedOf(sample, parsed);
  } catch (error) {
    logger.warn({ err: error, file }, "A sample document could not be read; it stays as it was.");
    return null;
  }
}
