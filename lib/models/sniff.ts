// What a provider's response really holds, whatever its headers say: compression that nobody asked for is undone, and its first bytes tell a
// stream of events from one JSON body and from a page.
import type { IncomingMessage } from "node:http";
import { pipeline, type Readable, type Transform } from "node:stream";
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";

/** Text comes out as soon as it is there: a stream is not read to its end first. */
const flushing = { flush: constants.Z_SYNC_FLUSH };
const decoders: Record<string, () => Transform> = {
  gzip: () => createGunzip(flushing),
  "x-gzip": () => createGunzip(flushing),
  deflate: () => createInflate(flushing),
  br: () => createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => createZstdDecompress({ flush: constants.ZSTD_e_flush }),
};
const gzipMagic = Buffer.from([0x1f, 0x8b]);

/** `first`: what was read of the body already. */
export type Sniffed = { kind: "events" | "json" | "other"; first: Buffer; body: Readable };

/** Resolves with the first bytes of the body. Rejects when the connection fails before them. */
export async function sniff(message: IncomingMessage): Promise<Sniffed> {
  const named = decoders[message.headers["content-encoding"]?.trim().toLowerCase() ?? ""];
  const body = named ? through(message, named()) : message;
  const first = await firstOf(body);
  if (named || !first.subarray(0, 2).equals(gzipMagic)) return { kind: kindOf(first), first, body };
  const decoder = createGunzip(flushing);
  decoder.write(first);
  const unzipped = through(message, decoder);
  const text = await firstOf(unzipped);
  return { kind: kindOf(text), first: text, body: unzipped };
}

function through(source: Readable, decoder: Transform): Readable {
  // A failure of either ends both; the reader of the decoder sees it there.
  return pipeline(source, decoder, () => {});
}

/** White space and a byte order mark decide nothing. */
function kindOf(bytes: Buffer): Sniffed["kind"] {
  const text = bytes
    .toString("latin1")
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart();
  if (text.startsWith("{") || text.startsWith("[")) return "json";
  // Cut inside the name of a field, nothing can be said against it yet.
  const colon = text.indexOf(":");
  const isField = colon >= 0 ? fields.includes(text.slice(0, colon)) : fields.some((field) => field.startsWith(text));
  return isField ? "events" : "other";
}

/** Of an event stream; the first is a comment's. */
const fields = ["", "data", "event", "id", "retry", "error"];

/** Empty when the body ends without a byte. */
function firstOf(body: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      body.off("readable", look);
      body.off("end", look);
      body.off("error", fail);
      body.off("close", fail);
    };
    const look = () => {
      // Also what a connection had brought before it failed.
      const bytes: Buffer | null = body.read();
      if (bytes === null && !body.readableEnded) return false;
      stop();
      resolve(bytes ?? Buffer.alloc(0));
      return true;
    };
    const fail = (error: Error = new Error("The connection was closed without a body.")) => {
      if (look()) return;
      stop();
      reject(error);
    };
    body.on("readable", look);
    body.on("end", look);
    body.on("error", fail);
    body.on("close", fail);
    if (body.destroyed) fail(body.errored ?? undefined);
  });
}
