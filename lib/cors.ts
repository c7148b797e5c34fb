// Which other origins' pages may call the dialects, follow and stop turns, and read the answers (docs/protocol.md §6,
// CORS_ORIGINS): with a token, never with somebody's session cookie. The rest of the native API and the pages stay same-origin.
import { env } from "./env";
import { AppError } from "./errors";
import { isCrossOrigin } from "./http";

const exposed = "X-Turn-Id, X-Chat-Id, X-Turn-Age-Ms, X-Request-Id, Retry-After";
const methods = "GET, POST, DELETE, OPTIONS";
const headers = "Authorization, Content-Type, Accept, Cache-Control, Last-Event-ID, Idempotency-Key";
/** Chromium's cap; the answer depends on the configuration alone. */
const maxAgeSeconds = 7_200;

/** Throws unauthorized for a page of another origin without a token, for reading too: a session cookie does not count there. */
export function refuseForeignCookie(request: Request): void {
  if (isCrossOrigin(request) && !request.headers.has("authorization"))
    throw new AppError("unauthorized", "A page of another origin must send a token as `Authorization: Bearer …`.");
}

/** Sets the headers by which a page of the request's origin may read this answer, error or not. Returns the answer. */
export function withCors(request: Request, response: Response): Response {
  const origin = request.headers.get("origin");
  const allowed = env().CORS_ORIGINS;
  if (allowed.includes("*")) {
    response.headers.set("Access-Control-Allow-Origin", "*");
  } else {
    // Also for requests without an origin: a cache must not give their answers to those that have one.
    if (!response.headers.get("vary")?.includes("Origin")) response.headers.append("Vary", "Origin");
    if (!origin || !allowed.includes(origin)) return response;
    response.headers.set("Access-Control-Allow-Origin", origin);
  }
  response.headers.set("Access-Control-Expose-Headers", exposed);
  return response;
}

/** The answer to a preflight. An origin that is not allowed gets one without permission. */
export function preflight(request: Request): Response {
  const response = withCors(request, new Response(null, { status: 204 }));
  if (!response.headers.has("Access-Control-Allow-Origin")) return response;
  response.headers.delete("Access-Control-Expose-Headers");
  response.headers.set("Access-Control-Allow-Methods", methods);
  // Client libraries add headers of their own, which have no meaning here. Those a proxy speaks with do: by one of them
  // the same-origin rule knows this server's name (lib/http.ts), so no page may send them.
  const asked = (request.headers.get("access-control-request-headers") ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && !/^(x-forwarded-|forwarded$)/i.test(name));
  response.headers.set("Access-Control-Allow-Headers", [headers, ...asked].join(", "));
  response.headers.set("Access-Control-Max-Age", String(maxAgeSeconds));
  return response;
}
