// The server's origin as the caller sees it: for tools that read the description and commands that
// people copy. lib/request-gate.ts has checked the host, and only a trusted proxy or Next sets the
// forwarded headers.

export function originOf(headers: Headers): string {
  const host = headers.get("x-forwarded-host") ?? headers.get("host") ?? "localhost:3000";
  return `${headers.get("x-forwarded-proto") === "https" ? "https" : "http"}://${host}`;
}
