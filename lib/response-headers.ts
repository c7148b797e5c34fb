// The security headers of every answer: pages, routes, streams, static files, redirects and errors. This is the one
// table; lib/request-gate.ts adds what an answer does not set itself, as proxy.ts does with the pages' policy.

/** The script of public/sse-test.html, which is static and can have no nonce. A test compares it with the file. */
export const testPageScriptHash = "sha256-1W8MyO7WU7tVYop3BtkgbecbUTJKdaXtYfVF7zjvERQ=";

/** For what is no page: nothing runs, should a browser ever draw it. next-auth's sign-out form has inline styles. */
const contentPolicy = [
  "default-src 'none'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The test page asks any server that its reader names. */
const testPagePolicy = `${contentPolicy}; script-src '${testPageScriptHash}'; connect-src 'self' http: https:`;

/** Device and payment interfaces that nothing here uses. */
const permissions = ["browsing-topics", "camera", "display-capture", "geolocation", "hid", "microphone", "midi"]
  .concat("payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking")
  .map((name) => `${name}=()`)
  .join(", ");

export type AnswerFacts = {
  path: string;
  /** By TLS here or at a trusted proxy. */
  https: boolean;
  /** Pages of other origins may read it (Access-Control-Allow-Origin). */
  shared: boolean;
};

export function securityHeaders({ path, https, shared }: AnswerFacts): Record<string, string> {
  return {
    // Everything is personal unless its handler says otherwise; static files say so.
    "Cache-Control": "no-store",
    "Content-Security-Policy": path === "/sse-test.html" ? testPagePolicy : contentPolicy,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": shared ? "cross-origin" : "same-origin",
    "Permissions-Policy": permissions,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    // Two years. Without includeSubDomains: other names are not this server's to decide on.
    ...(https && { "Strict-Transport-Security": "max-age=63072000" }),
  };
}
