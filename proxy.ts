// The Content Security Policy of pages, with a nonce per response: model and document text is
// hostile, so only this page's own code may run, and no other origin may be contacted
// (docs/reliability.md I21). Also counts page requests against the rate limit, before rendering.
import { type NextRequest, NextResponse } from "next/server";
import { clientAddress } from "@/lib/client-address";
import { AppError } from "@/lib/errors";
import { spend } from "@/lib/limits";

export async function proxy(request: NextRequest): Promise<NextResponse> {
  try {
    await spend(["request", "page"], { address: clientAddress(request.headers) });
  } catch (error) {
    if (!AppError.is(error)) throw error;
    const { status, publicMessage, retryAfter = 1 } = error;
    return new NextResponse(refusalPage(publicMessage), {
      status,
      headers: { "Content-Type": "text/html; charset=utf-8", "Retry-After": String(retryAfter) },
    });
  }
  const nonce = Buffer.from(crypto.randomUUID()).toString("base64");
  const policy = policyWith(nonce);
  // Next reads the nonce from the request's policy and adds it to its own scripts.
  const headers = new Headers(request.headers);
  headers.set("Content-Security-Policy", policy);
  headers.set("x-nonce", nonce);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set("Content-Security-Policy", policy);
  return response;
}

/** A static string, because refusing must be cheap. `message` is one of our own sentences. */
function refusalPage(message: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Rivulet</title><style>:root{color-scheme:light dark}body{max-width:24rem;margin:25vh auto;padding:0 1.5rem;
font:1rem/1.5 system-ui,sans-serif}h1{font-size:1.25rem}</style>
<h1>Rivulet</h1><p>${message}</p><p>Your chats are kept. <a href="">Try again</a></p></html>`;
}

function policyWith(nonce: string): string {
  // The development server uses eval and reloads over a WebSocket.
  const development = process.env.NODE_ENV !== "production";
  return [
    "default-src 'self'",
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${development ? " 'unsafe-eval'" : ""}`,
    // For style attributes set by React and the UI primitives; they cannot execute anything.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src 'self'${development ? " ws:" : ""}`,
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
}

export const config = {
  // Pages only: routes and static files have the policy of lib/response-headers.ts, and streams
  // must not pay for this. Static files are listed one by one, so that a page URL with a dot in it
  // still counts as a page.
  matcher: [
    "/((?!api/|_next/|health/?$|v1/|sessions/|chat/[^/]+/stream/?$|openapi\\.json$|sse-test\\.html$|icon\\.svg).*)",
  ],
};
