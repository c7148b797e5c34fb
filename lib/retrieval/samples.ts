// The documents a new user starts with: this project's own, so that the first question has something to find.
// They are ordinary documents of that user, who may delete them.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { logger } from "@/lib/logger";
import { type PreparedDocument, prepareDocument, storeDocuments } from "./ingest";

/** Relative to the project's directory. A file that is missing is left out, with a warning. */
const sampleFiles = ["README.md", "ARCHITECTURE.md", "docs/protocol.md", "docs/operations.md"];

// Read and cut once a process: a guest then costs one transaction.
const key = Symbol.for("rivulet.samples");
const shared = globalThis as { [key]?: Promise<PreparedDocument[]> };

/** One transaction. The files are those found at the first call of this process. */
export async function addSampleDocuments(userId: string): Promise<void> {
  shared[key] ??= readSamples();
  await storeDocuments(userId, await shared[key]);
}

async function readSamples(): Promise<PreparedDocument[]> {
  const read = await Promise.all(sampleFiles.map(readSample));
  return read.filter((document) => document !== null);
}

async function readSample(file: string): Promise<PreparedDocument | null> {
  try {
    const bytes = await readFile(path.join(/* turbopackIgnore: true */ process.cwd(), file));
    return { ...(await prepareDocument({ filename: path.basename(file), bytes })), sample: true };
  } catch (error) {
    logger.warn({ err: error, file }, "A sample document could not be read; new users start without it.");
    return null;
  }
}
