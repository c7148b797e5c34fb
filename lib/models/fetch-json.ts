// Fetches a small JSON document from a model server, such as its model list. Bounded in size; the
// caller bounds the time.
import { APICallError } from "ai";

/** OpenRouter's list of several hundred models takes about 1 MB. */
const maxBytes = 8 * 1_048_576;

export type JsonRequest = {
  headers?: Record<string, string>;
  /** Sent as a POST. */
  body?: unknown;
  signal: AbortSignal;
};

/**
 * Rejects if the server is unreachable, redirects, responds with a status other than 2xx, or with
 * anything but JSON.
 */
export async function fetchJson(url: string, { headers, body, signal }: JsonRequest): Promise<unknown> {
  const response = await fetch(url, {
    signal,
    // Send a key only where the operator said.
    redirect: "error",
    headers: {
      accept: "application/json",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new APICallError({
      message: `answered ${response.status}`,
      url,
      requestBodyValues: undefined,
      statusCode: response.status,
    });
  }
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new Error(`sent more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return JSON.parse(Buffer.concat(pieces).toString());
}
