// Splits Amazon's binary event stream (application/vnd.amazon.eventstream) into messages. Amazon's
// decoder reports a stream that ends mid-message as its own error, and copies the partial message
// on every read.
import { unreadable } from "@/lib/models/answer-events";
import { plainFetch } from "@/lib/models/provider-fetch";

/** Amazon's own limit is 24 MB; an answer's event is far smaller. */
const maxMessageBytes = 1_048_576;
const lengthBytes = 4;
const contentType = "application/vnd.amazon.eventstream";

/**
 * `plainFetch`, minus a message cut off by the end of the connection: the end of the answer is then
 * missing anyway.
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
  /** Joined once this many bytes have arrived, so that each byte is copied at most twice. */
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
