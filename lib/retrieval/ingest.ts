// From a file to a document with searchable passages, and the list a user sees. Reading file types is here; how
// passages are cut is passages.ts, how they are found search.ts. What throws here is meant for the uploader's eyes.
import { v7 as uuidv7, validate } from "uuid";
import {
  type DocumentRow,
  deleteDocumentRow,
  findDocument,
  insertDocuments,
  listDocumentRows,
  type NewDocument,
  type NewPassage,
} from "@/db/documents";
import { AppError } from "@/lib/errors";
import { visibleLine } from "@/lib/turn/foreign-text";
import { truncate } from "@/lib/words";
import { firstHeading, type Passage, splitPassages } from "./passages";

/** A document as `GET /api/documents` shows it. Times are ISO 8601, UTC. */
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

/** A text of ten million characters is a shelf of books; indexing it takes seconds, not minutes. */
export const documentBytesLimit = 10 * 1024 * 1024;

const mediaTypes: Record<string, string> = {
  ".txt": "text/plain",
  ".md": "text/markdown",
  ".markdown": "text/markdown",
};
const allowed = Object.keys(mediaTypes).join(", ");

export type UploadedFile = { filename: string; bytes: Uint8Array };

/** A file that has been read and cut; it belongs to nobody yet. */
export type PreparedDocument = Omit<NewDocument, "id"> & { passages: Passage[] };

/** Stores the document with all its passages or nothing. Throws AppError `bad_request` or `too_large`. */
export async function ingestDocument(userId: string, file: UploadedFile): Promise<DocumentInfo> {
  const [document] = await storeDocuments(userId, [await prepareDocument(file)]);
  if (!document) throw new Error("The insert returned no document.");
  return document;
}

/** Newest first. */
export async function listDocuments(userId: string): Promise<DocumentInfo[]> {
  return (await listDocumentRows(userId)).map(infoOf);
}

/** Throws AppError `not_found` for an unknown or somebody else's id. */
export async function requireDocument(userId: string, id: string): Promise<DocumentInfo> {
  const row = validate(id) ? await findDocument(userId, id) : null;
  if (!row) throw notFound();
  return infoOf(row);
}

/** Throws AppError `not_found` for an unknown or somebody else's id. */
export async function deleteDocument(userId: string, id: string): Promise<void> {
  if (!validate(id) || !(await deleteDocumentRow(userId, id))) throw notFound();
}

/** Reads and cuts without storing. Throws AppError `bad_request` or `too_large`. */
export async function prepareDocument(file: UploadedFile): Promise<PreparedDocument> {
  const { bytes } = file;
  const filename = plainName(file.filename);
  const mediaType = mediaTypes[/\.[^.]*$/.exec(filename.toLowerCase())?.[0] ?? ""];
  if (!mediaType) throw new AppError("bad_request", `file: this type is not supported. Allowed are ${allowed}.`);
  if (bytes.byteLength > documentBytesLimit) {
    throw new AppError("too_large", `file: larger than ${documentBytesLimit / 1024 / 1024} MiB.`);
  }
  const text = decode(bytes);
  const markdown = mediaType === "text/markdown";
  const passages = await splitPassages(text, { markdown });
  if (passages.length === 0) {
    throw new AppError("bad_request", `file: there is no text in it. Allowed are text files: ${allowed}.`);
  }
  const title = (markdown && firstHeading(text)) || filename;
  const passageCount = passages.length;
  return {
    title: truncate(title, 200),
    filename,
    mediaType,
    bytes: bytes.byteLength,
    passageCount,
    sample: false,
    passages,
  };
}

/** One transaction for all of them; the answer has their order. */
async function storeDocuments(userId: string, prepared: PreparedDocument[]): Promise<DocumentInfo[]> {
  const added: NewDocument[] = [];
  const parts: NewPassage[] = [];
  for (const { passages, ...document } of prepared) {
    const documentId = uuidv7();
    added.push({ ...document, id: documentId });
    passages.forEach((passage, index) => {
      parts.push({ ...passage, id: uuidv7(), documentId, ordinal: index + 1 });
    });
  }
  return (await insertDocuments(userId, added, parts)).map(infoOf);
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

/** Some clients send a whole path; and a name is shown, so it carries no control characters. */
function plainName(filename: string): string {
  const name = filename.split(/[/\\]/).at(-1) ?? "";
  return name.replace(/\p{C}/gu, "").trim().slice(-200);
}

/** UTF-8, or UTF-16 with a byte order mark. Postgres cannot store U+0000, and no reader misses it. */
function decode(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes).replaceAll("\0", "");
  } catch (cause) {
    const message = `file: this is not text in UTF-8 (or UTF-16 with a byte order mark). Allowed are text files: ${allowed}.`;
    throw new AppError("bad_request", message, { cause });
  }
}
