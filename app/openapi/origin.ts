// Where the caller reaches this server: what tools that read the description, and people who copy a command, call. The
// host is one that lib/request-gate.ts let pass, and the forwarded headers are what a trusted proxy or Next wrote.

export function originOf(headers: Headers): string {
  const host = headers.get("x-forwarded-host") ?? headers.get("host") ?? "localhost:3000";
  return `${headers.get("x-forwarded-proto") === "https" ? "https" : "http"}://${host}`;
}
