// Asks a model server for a small JSON document, such as the list of its models. Bounded in size;
// the time is the caller's.
import { APICallError } from "ai";

/** OpenRouter's list of some hundred models takes about 1 MB. */
const maxBytes = 8 * 1_048_576;

export type JsonRequest = {
  headers?: Record<string, string>;
  /** Sent as a POST. */
  body?: unknown;
  signal: AbortSignal;
};

/**
 * Rejects when the server cannot be reached, redirects, answers with another status than 2xx, or
 * with something else than JSON.
 */
export async function fetchJson(url: string, { headers, body, signal }: JsonRequest): Promise<unknown> {
  const response = await fetch(url, {
    signal,
    // A key goes where the operator said.
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
