// Which other origins may call the dialects, follow and stop turns, and read the responses
// (docs/protocol.md §6, CORS_ORIGINS): only with a token, never with a session cookie. The rest of
// the native API and the pages stay same-origin.
import { env } from "./env";
import { AppError } from "./errors";
import { isCrossOrigin } from "./http";

const exposed = "X-Turn-Id, X-Chat-Id, X-Turn-Age-Ms, X-Request-Id, Retry-After";
const methods = "GET, POST, DELETE, OPTIONS";
const headers = "Authorization, Content-Type, Accept, Cache-Control, Last-Event-ID, Idempotency-Key";
/** Chromium's cap; the response depends only on the configuration. */
const maxAgeSeconds = 7_200;

/**
 * Throws unauthorized for another origin's page without a token, even for reads: session cookies do
 * not count there.
 */
export function refuseForeignCookie(request: Request): void {
  if (isCrossOrigin(request) && !request.headers.has("authorization"))
    throw new AppError("unauthorized", "A page of another origin must send a token as `Authorization: Bearer …`.");
}

/**
 * Sets the CORS headers that let the request's origin read this response, error or not. Returns the
 * response.
 */
export function withCors(request: Request, response: Response): Response {
  const origin = request.headers.get("origin");
  const allowed = env().CORS_ORIGINS;
  if (allowed.includes("*")) {
    response.headers.set("Access-Control-Allow-Origin", "*");
  } else {
    // Also without an origin: a cache must not serve that response to requests with one.
    if (!response.headers.get("vary")?.includes("Origin")) response.headers.append("Vary", "Origin");
    if (!origin || !allowed.includes(origin)) return response;
    response.headers.set("Access-Control-Allow-Origin", origin);
  }
  response.headers.set("Access-Control-Expose-Headers", exposed);
  return response;
}

/** The response to a preflight. Disallowed origins get one without permission. */
export function preflight(request: Request): Response {
  const response = withCors(request, new Response(null, { status: 204 }));
  if (!response.headers.has("Access-Control-Allow-Origin")) return response;
  response.headers.delete("Access-Control-Expose-Headers");
  response.headers.set("Access-Control-Allow-Methods", methods);
  // Client libraries add harmless headers of their own. Forwarded headers are not harmless: the
  // same-origin check derives this server's name from one (lib/http.ts), so no page may send them.
  const requested = (request.headers.get("access-control-request-headers") ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && !/^(x-forwarded-|forwarded$)/i.test(name));
  response.headers.set("Access-Control-Allow-Headers", [headers, ...requested].join(", "));
  response.headers.set("Access-Control-Max-Age", String(maxAgeSeconds));
  return response;
}
