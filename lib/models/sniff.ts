// Detects what a provider's response really holds, whatever its headers say: undoes unrequested
// compression, and tells an event stream from a JSON body or a web page by its first bytes.
import type { IncomingMessage } from "node:http";
import { pipeline, type Readable, type Transform } from "node:stream";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from "node:zlib";
import { isObject } from "./answer-events";

/** Text is emitted as soon as possible, and data before a lost connection is kept. */
const flushing = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };
const decoders = {
  gzip: () => createGunzip(flushing),
  deflate: () => createInflate(flushing),
  deflateRaw: () => createInflateRaw(flushing),
  br: () =>
    createBrotliDecompress({
      flush: constants.BROTLI_OPERATION_FLUSH,
      finishFlush: constants.BROTLI_OPERATION_FLUSH,
    }),
  zstd: () => createZstdDecompress({ flush: constants.ZSTD_e_flush, finishFlush: constants.ZSTD_e_flush }),
} satisfies Record<string, () => Transform>;

const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Bytes needed to recognise a format. */
const magicBytes = 4;
/** A longer line is no stream chunk. */
const maxLineBytes = 1_048_576;

/** `first`: bytes already read from the body. */
export type Sniffed = { kind: "events" | "json" | "other"; first: Buffer; body: Readable };

/**
 * Resolves with the first bytes of the body. Rejects if the connection fails earlier. `onBytes`:
 * called on each read.
 */
export async function sniff(message: IncomingMessage, onBytes: () => void): Promise<Sniffed> {
  const raw = await firstOf(message, onBytes, (bytes) => bytes.length >= magicBytes);
  const encoding = encodingOf(message.headers["content-encoding"], raw);
  if (!encoding) return sniffed(raw, message, onBytes);
  const decoder: Transform = decoders[encoding]();
  decoder.write(raw);
  // A failure of either ends both; the decoder's reader sees it.
  return sniffed(
    Buffer.alloc(0),
    pipeline(message, decoder, () => {}),
    onBytes,
  );
}

async function sniffed(start: Buffer, body: Readable, onBytes: () => void): Promise<Sniffed> {
  const started = isBlank(start)
    ? Buffer.concat([start, await firstOf(body, onBytes, (bytes) => !isBlank(bytes))])
    : start;
  const kind = kindOf(started);
  if (kind !== "json" || started.length === 0) return { kind, first: started, body };
  // One chunk per line is a stream too.
  const hasLine = (bytes: Buffer) => started.includes("\n") || bytes.includes("\n") || bytes.length > maxLineBytes;
  const first = Buffer.concat([started, await firstOf(body, onBytes, hasLine)]);
  return { kind: beginsWithChunk(first) ? "events" : "json", first, body };
}

/** The body's real encoding: proxies decode it but keep the header, or compress without one. */
function encodingOf(header: string | undefined, bytes: Buffer): keyof typeof decoders | null {
  if (bytes.subarray(0, 2).equals(gzipMagic)) return "gzip";
  if (bytes.subarray(0, 4).equals(zstdMagic)) return "zstd";
  const named = header?.trim().toLowerCase();
  if ((named !== "br" && named !== "deflate") || bytes.length === 0 || isPlain(bytes)) return null;
  if (named === "br") return "br";
  const [method = 0, flags = 0] = bytes;
  // RFC 1950 §2.2; some servers omit this header.
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0 ? "deflate" : "deflateRaw";
}

function isPlain(bytes: Buffer): boolean {
  const isText = bytes
    .subarray(0, magicBytes)
    .every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d);
  return isText && kindOf(bytes) !== "other";
}

function isBlank(bytes: Buffer): boolean {
  return plainTextOf(bytes) === "";
}

/** Ignores white space and a byte order mark. */
function plainTextOf(bytes: Buffer): string {
  return bytes
    .toString("latin1")
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart();
}

function kindOf(bytes: Buffer): Sniffed["kind"] {
  const text = plainTextOf(bytes);
  if (text.startsWith("{") || text.startsWith("[")) return "json";
  // Cut inside a field name: it may still be an event stream.
  const colon = text.indexOf(":");
  const isField = colon >= 0 ? fields.includes(text.slice(0, colon)) : fields.some((field) => field.startsWith(text));
  return isField ? "events" : "other";
}

/** Event stream fields; the empty one is a comment. */
const fields = ["", "data", "event", "id", "retry", "error"];

function beginsWithChunk(bytes: Buffer): boolean {
  const [line = ""] = new TextDecoder().decode(bytes).trimStart().split("\n", 1);
  try {
    const { choices }: { choices?: unknown } = JSON.parse(line);
    return Array.isArray(choices) && isObject(choices[0]) && isObject(choices[0].delta);
  } catch {
    // Not complete on one line.
    return false;
  }
}

/** Reads until `isEnough` or the end. Rejects if the connection fails first. */
function firstOf(body: Readable, onBytes: () => void, isEnough: (bytes: Buffer) => boolean): Promise<Buffer> {
  const pieces: Buffer[] = [];
  /** Pieces are joined at each doubling, which keeps this linear. */
  let nextJoin = 1;

  function isDone(piece: Buffer): boolean {
    if (isEnough(piece)) return true;
    if (pieces.length < nextJoin) return false;
    nextJoin = pieces.length * 2;
    return isEnough(Buffer.concat(pieces));
  }

  return new Promise((resolve, reject) => {
    const stop = () => {
      body.off("readable", look);
      body.off("end", look);
      body.off("error", fail);
      body.off("close", fail);
    };
    const look = () => {
      let done = body.readableEnded;
      for (let piece: Buffer | null = body.read(); piece !== null && !done; piece = done ? null : body.read()) {
        onBytes();
        pieces.push(piece);
        done = isDone(piece);
      }
      if (!done && !body.readableEnded) return false;
      stop();
      resolve(Buffer.concat(pieces));
      return true;
    };
    const fail = (error: Error = new Error("The connection was closed without a body.")) => {
      // Includes data that arrived before the failure.
      if (look()) return;
      stop();
      reject(error);
    };
    if (isEnough(Buffer.alloc(0)) || body.readableEnded) {
      resolve(Buffer.alloc(0));
      return;
    }
    body.on("readable", look);
    body.on("end", look);
    body.on("error", fail);
    body.on("close", fail);
    if (body.destroyed) fail(body.errored ?? undefined);
  });
}
