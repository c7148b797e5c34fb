// The HTTP of the providers' SDKs: a `fetch` on node:http, whose body is read only when it is wanted. Behind `fetch` itself
// each token would be a read, a callback and a chunk of a web stream, wanted or not. Proxies (NODE_USE_ENV_PROXY) and
// certificates (NODE_EXTRA_CA_CERTS) are Node's own. Redirects are not followed: a prompt goes where the operator said.
import { type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { Readable } from "node:stream";
import { joinFrames } from "./join-frames";

/** Nothing is read ahead: what nobody asks for stays in the system's buffers. An option of the socket, which has it from here. */
const unread: RequestOptions & { highWaterMark: number } = { highWaterMark: 0 };

/** The statuses of a response that has no body; `Response` takes none for them. */
const bodiless = [204, 205, 304];

/**
 * Only what the SDKs ask for: a text sent to a URL. Rejects, and fails later, as `fetch` does, so that its callers know what
 * to repeat. An abort closes the socket; so does cancelling a body, and until one of them, or its end, a body keeps it.
 */
export function providerFetch(...[input, init = {}]: Parameters<typeof fetch>): Promise<Response> {
  const { method, body, signal } = init;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    if (typeof body !== "string") throw new TypeError("Only text can be sent to a provider.");
    const url = new URL(String(input));
    const headers = { ...Object.fromEntries(new Headers(init.headers)), "accept-encoding": "identity" };
    const request = (url.protocol === "https:" ? requestHttps : requestHttp)(url, { ...unread, method, headers });
    let answer: IncomingMessage | undefined;
    const abort = () => (answer ?? request).destroy(signal?.reason);
    const fail = (cause: unknown) => reject(signal?.aborted ? signal.reason : new TypeError("fetch failed", { cause }));
    signal?.addEventListener("abort", abort, { once: true });
    // Not before the response was read to its end, or its socket has gone.
    request.on("close", () => {
      signal?.removeEventListener("abort", abort);
      // A change of protocol, which nobody asked for, is neither a response nor an error.
      if (!answer) fail(new Error("The connection was closed without a response."));
    });
    request.on("error", (error) => {
      answer?.destroy(error);
      fail(error);
    });
    request.on("response", (message) => {
      answer = message;
      try {
        resolve(responseOf(message));
      } catch (error) {
        message.destroy();
        fail(error);
      }
    });
    request.end(body);
  });
}

function responseOf(message: IncomingMessage): Response {
  const { statusCode: status = 0, statusMessage: statusText, rawHeaders } = message;
  const headers = new Headers();
  for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  const init = { status, statusText, headers };
  if (bodiless.includes(status)) {
    message.resume();
    return new Response(null, init);
  }
  const streams = headers.get("content-type")?.startsWith("text/event-stream");
  return new Response(streams ? joinFrames(message) : (Readable.toWeb(message) as ReadableStream<Uint8Array>), init);
}
