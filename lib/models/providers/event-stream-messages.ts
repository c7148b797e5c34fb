// Amazon's binary event stream (application/vnd.amazon.eventstream), message by message. Its
// decoder takes a stream that ends inside a message for an error of its own, and copies what it has
// of a message with every read.
import { unreadable } from "@/lib/models/answer-events";
import { plainFetch } from "@/lib/models/provider-fetch";

/** Amazon's own limit is 24 MB; an event of an answer is far smaller. */
const maxMessageBytes = 1_048_576;
const lengthBytes = 4;
const contentType = "application/vnd.amazon.eventstream";

/**
 * `plainFetch`; a message that the end of the connection cuts off is left out, as the end of the
 * answer is missing then.
 */
export const wholeMessages: typeof fetch = async (input, init) => {
  const response = await plainFetch(input, init);
  if (!response.body || response.headers.get("content-type") !== contentType) return response;
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(new TransformStream(byMessage())), { status, statusText, headers });
};

function byMessage(): Transformer<Uint8Array, Uint8Array> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  /** Joined when this many bytes are there, so that each byte is copied at most twice. */
  let wanted = lengthBytes;
  return {
    transform(piece, controller) {
      pieces.push(piece);
      length += piece.length;
      if (length < wanted) return;
      const bytes = Buffer.concat(pieces);
      let at = 0;
      wanted = lengthBytes;
      while (length - at >= wanted) {
        const size = sizeOf(bytes.subarray(at));
        if (length - at < size) {
          wanted = size;
          break;
        }
        controller.enqueue(bytes.subarray(at, at + size));
        at += size;
      }
      pieces = [bytes.subarray(at)];
      length -= at;
    },
  };
}

/** A message begins with its own length. */
function sizeOf(bytes: Buffer): number {
  const size = bytes.readUInt32BE(0);
  if (size < 16 || size > maxMessageBytes) throw unreadable();
  return size;
}
