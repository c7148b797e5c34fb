// Extracts title and passages from a file's bytes. Runs in a separate process (parse-child.ts),
// since files are hostile; knows no users, no database and no user-facing text. A new file type is
// one entry in `mediaTypes` and a branch here.
import { truncate } from "@/lib/words";
import { firstHeading, type Passage, splitPassages, TooManyPassages } from "./passages";

export type UploadedFile = { filename: string; bytes: Uint8Array };

export type ParsedDocument = { title: string; mediaType: string; passages: Passage[] };

/** Why a file yields no document. */
export type ParseFailure = "unsupported_type" | "not_text" | "no_text" | "too_many_passages";

const mediaTypes: Record<string, string> = {
  ".txt": "text/plain",
  ".md": "text/markdown",
  ".markdown": "text/markdown",
};

export const allowedTypes = Object.keys(mediaTypes).join(", ");

/** Shown in lists, and quoted to models with each passage. */
const maxTitleLength = 200;

export function mediaTypeOf(filename: string): string | null {
  return mediaTypes[/\.[^.]*$/.exec(filename.toLowerCase())?.[0] ?? ""] ?? null;
}

/** Never throws because of the file's contents. */
export async function parseDocument({ filename, bytes }: UploadedFile): Promise<ParsedDocument | ParseFailure> {
  const mediaType = mediaTypeOf(filename);
  if (!mediaType) return "unsupported_type";
  const text = decode(bytes);
  if (text === null) return "not_text";
  const markdown = mediaType === "text/markdown";
  try {
    const passages = await splitPassages(text, { markdown });
    if (passages.length === 0) return "no_text";
    const title = (markdown && firstHeading(text)) || filename;
    return { title: truncate(title, maxTitleLength), mediaType, passages };
  } catch (error) {
    if (error instanceof TooManyPassages) return "too_many_passages";
    throw error;
  }
}

/** UTF-8, or UTF-16 with a byte order mark. Strips U+0000, which Postgres cannot store. */
function decode(bytes: Uint8Array): string | null {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes).replaceAll("\0", "");
  } catch {
    // A file that is not text is a result, not an error.
    return null;
  }
}
