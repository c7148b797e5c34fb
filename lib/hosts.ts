// Which names this server answers to, and where a caller reaches it. A page of another site may point its own name at
// this server (DNS rebinding) and would then count as same-origin, so unknown names are refused (docs/operations.md).
// Pure: headers and settings in, a decision out. lib/request-gate.ts applies it.
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

export type HostSettings = {
  /** Host names, with a port or without; `*.example.com` for the names below; `*` for every name. */
  allowedHosts: string[];
  publicUrl?: string | undefined;
  /** How many proxies in front of this server are trusted. */
  trustedHops: number;
};

const forwarded = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] as const;
/** Nothing here reads them, but Next or a library may. */
const neverTrusted = ["forwarded", "x-forwarded-port", "x-forwarded-server", "x-real-ip", "x-original-host"];

/**
 * Leaves in the forwarded headers what a trusted proxy wrote, one value each, and deletes them where none did: Next then
 * fills in what the socket says. Whatever reads them afterwards needs no knowledge of proxies.
 */
export function trustForwarded(headers: IncomingHttpHeaders, { trustedHops, publicUrl }: HostSettings): void {
  for (const name of neverTrusted) delete headers[name];
  for (const name of forwarded) {
    const values = trustedHops === 0 ? [] : listOf(headers[name]);
    // Each proxy appends; the value counted from the right is the one that the outermost trusted proxy wrote.
    const value = values.at(-trustedHops) ?? values[0];
    if (value) headers[name] = value;
    else delete headers[name];
  }
  // A proxy that passes no scheme: the configured address names it.
  const address = publicUrl && new URL(publicUrl);
  if (address && !headers["x-forwarded-proto"] && hostOf(headers) === address.host)
    headers["x-forwarded-proto"] = address.protocol.slice(0, -1);
}

function listOf(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(",") : (header ?? "");
  return text
    .split(",")
    .map((value) => value.trim())
    .filter(Boolean);
}

/** The name that the caller used, after `trustForwarded`; undefined for a client of HTTP/1.0 that names none. */
export function hostOf(headers: IncomingHttpHeaders): string | undefined {
  const host = headers["x-forwarded-host"] ?? headers.host;
  return (Array.isArray(host) ? host[0] : host)?.toLowerCase();
}

/** Literal addresses and localhost cannot be rebound: nobody else's page can have them as its origin. */
export function isAllowedHost(host: string | undefined, { allowedHosts, publicUrl }: HostSettings): boolean {
  // Browsers always name a host, so a request without one is no rebound page.
  if (host === undefined) return true;
  if (!/^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/.test(host)) return false;
  const name = host.replace(/:\d+$/, "").replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost") || isIP(name.replace(/^\[|\]$/g, "")) !== 0) return true;
  const names = publicUrl ? [...allowedHosts, new URL(publicUrl).hostname] : allowedHosts;
  return names.some((allowed) => {
    const rule = allowed.toLowerCase();
    if (rule === "*" || rule === name || rule === host) return true;
    return rule.startsWith("*.") && name.endsWith(rule.slice(1));
  });
}
