// Turns a file into a document with searchable passages, and lists a user's documents. Files are
// parsed by parse.ts, passages are found by search.ts. Error messages are meant for the uploader.
import { v7 as uuidv7, validate } from "uuid";
import {
  type DocumentRow,
  deleteDocumentRow,
  findDocument,
  insertDocuments,
  listDocumentRows,
  type NewDocument,
} from "@/db/documents";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { createdCursor, cutPage, type PageQuery, pageSize, parseListCursor } from "@/lib/list-cursor";
import { visibleLine } from "@/lib/turn/foreign-text";
import { allowedTypes, mediaTypeOf, type ParsedDocument, type ParseFailure, type UploadedFile } from "./parse";
import { type ParseKill, parseInProcess, parseLimits } from "./parse-process";
import { parseQueue } from "./parse-queue";
import { maxPassages, type Passage } from "./passages";

/** A document as shown by `GET /api/documents`. Times are ISO 8601, UTC. */
export type DocumentInfo = {
  id: string;
  title: string;
  filename: string;
  mediaType: string;
  bytes: number;
  passageCount: number;
  sample: boolean;
  createdAt: string;
};

/** Ten million characters are a shelf of books; indexing them takes seconds, not minutes. */
export const documentBytesLimit = 10 * 1024 * 1024;

/** A parsed file without an owner yet. */
export type PreparedDocument = Omit<NewDocument, "id"> & { passages: Passage[] };

/**
 * Parses the file in a separate process and stores the document with all its passages, or nothing.
 * Throws AppError `bad_request` or `too_large` for the file, `rate_limited` or `unavailable` if too
 * many are in progress.
 */
export async function ingestDocument(userId: string, { filename, bytes }: UploadedFile): Promise<DocumentInfo> {
  const file = { filename: plainName(filename), bytes };
  // Checks that do not require reading it need no process.
  if (!mediaTypeOf(file.filename)) throw refusal("unsupported_type");
  if (bytes.byteLength > documentBytesLimit) throw refusal("too_many_bytes");
  const parsed = await parseQueue().run(userId, () => parseInProcess(file));
  if (typeof parsed === "string") throw refusal(parsed);
  return storeDocument(userId, preparedOf(file, parsed));
}

/** Newest first. */
export async function listDocuments(
  userId: string,
  { cursor, limit = pageSize }: PageQuery = {},
): Promise<{ documents: DocumentInfo[]; nextCursor: string | null }> {
  const rows = await listDocumentRows(userId, { after: parseListCursor(createdCursor, cursor), limit: limit + 1 });
  const { page, nextCursor } = cutPage(rows, limit);
  return { documents: page.map(({ cursor: _, ...row }) => infoOf(row)), nextCursor };
}

/** Throws AppError `not_found` for an unknown id or another user's. */
export async function requireDocument(userId: string, id: string): Promise<DocumentInfo> {
  const row = validate(id) ? await findDocument(userId, id) : null;
  if (!row) throw notFound();
  return infoOf(row);
}

/** Throws AppError `not_found` for an unknown id or another user's. */
export async function deleteDocument(userId: string, id: string): Promise<void> {
  if (!validate(id) || !(await deleteDocumentRow(userId, id))) throw notFound();
}

export function preparedOf({ filename, bytes }: UploadedFile, parsed: ParsedDocument): PreparedDocument {
  const { passages } = parsed;
  return { ...parsed, filename, bytes: bytes.byteLength, passageCount: passages.length, sample: false };
}

function refusal(failure: ParseFailure | ParseKill | "too_many_bytes"): AppError {
  switch (failure) {
    case "unsupported_type":
      return new AppError("bad_request", `file: this type is not supported. Allowed are ${allowedTypes}.`);
    case "not_text":
      return new AppError(
        "bad_request",
        `file: this is not text in UTF-8 (or UTF-16 with a byte order mark). Allowed are text files: ${allowedTypes}.`,
      );
    case "no_text":
      return new AppError("bad_request", `file: it contains no text. Allowed are text files: ${allowedTypes}.`);
    case "too_many_bytes":
      return tooLarge(`larger than ${documentBytesLimit / 1024 / 1024} MiB`);
    case "too_many_passages":
      return tooLarge(`it has more than ${maxPassages} passages, as each section is one`);
    case "timeout":
      return tooLarge(`reading it took longer than ${parseLimits.timeoutMs / 1_000} seconds`);
    case "memory":
      return tooLarge("reading it takes more memory than is allowed");
  }
}

function tooLarge(reason: string): AppError {
  return new AppError("too_large", `file: ${reason}. Nothing was stored; split it and upload the pieces.`);
}

async function storeDocument(userId: string, { passages, ...document }: PreparedDocument): Promise<DocumentInfo> {
  const documentId = uuidv7();
  const parts = passages.map((passage, index) => ({ ...passage, id: uuidv7(), documentId, ordinal: index + 1 }));
  const [row] = await insertDocuments(userId, [{ ...document, id: documentId }], parts, {
    documents: env().MAX_DOCUMENTS,
    bytes: env().MAX_STORED_BYTES,
  });
  if (!row) throw new Error("The insert returned no document.");
  return infoOf(row);
}

function infoOf({ userId: _, fingerprint: __, createdAt, ...document }: DocumentRow): DocumentInfo {
  const { title, filename } = document;
  return {
    ...document,
    title: visibleLine(title),
    filename: visibleLine(filename),
    createdAt: createdAt.toISOString(),
  };
}

function notFound(): AppError {
  return new AppError("not_found", "There is no such document.");
}

/**
 * Some clients send a whole path, and since names are displayed, control characters are stripped.
 */
function plainName(filename: string): string {
  const name = filename.split(/[/\\]/).at(-1) ?? "";
  return name.replace(/\p{C}/gu, "").trim().slice(-200);
}
