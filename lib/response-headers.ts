// The security headers of every response: pages, routes, streams, static files, redirects and
// errors. The only table; lib/request-gate.ts adds what a response does not set itself, such as the
// pages' policy from proxy.ts.

/**
 * Hash of the script in public/sse-test.html, which is static and cannot have a nonce. A test
 * compares the two.
 */
export const testPageScriptHash = "sha256-K6H6v7/lOV7RDGebFkdstk5mw9AB+dtMCrhXxRPPC4E=";

/**
 * For anything but pages: nothing may run, should a browser ever render it. next-auth's sign-out
 * form has inline styles.
 */
const contentPolicy = [
  "default-src 'none'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The test page may connect to any server its user names. */
const testPagePolicy = `${contentPolicy}; script-src '${testPageScriptHash}'; connect-src 'self' http: https:`;

/** Device and payment APIs that nothing here uses. */
const permissions = ["browsing-topics", "camera", "display-capture", "geolocation", "hid", "microphone", "midi"]
  .concat("payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking")
  .map((name) => `${name}=()`)
  .join(", ");

export type AnswerFacts = {
  path: string;
  /** TLS here or at a trusted proxy. */
  https: boolean;
  /** Other origins' pages may read it (Access-Control-Allow-Origin). */
  shared: boolean;
};

export function securityHeaders({ path, https, shared }: AnswerFacts): Record<string, string> {
  return {
    // Everything is private unless its handler says otherwise, as for static files.
    "Cache-Control": "no-store",
    "Content-Security-Policy": path === "/sse-test.html" ? testPagePolicy : contentPolicy,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": shared ? "cross-origin" : "same-origin",
    "Permissions-Policy": permissions,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    // Two years. Without includeSubDomains: other names are not this server's to decide.
    ...(https && { "Strict-Transport-Security": "max-age=63072000" }),
  };
}
