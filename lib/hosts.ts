// Which host names this server answers to, and how a caller reaches it. Another site could point
// its own name at this server (DNS rebinding) and would then count as same-origin, so unknown names
// are refused (docs/operations.md). Pure: headers and settings in, a decision out. Applied by
// lib/request-gate.ts.
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

export type HostSettings = {
  /** Host names, with or without a port; `*.example.com` for subdomains; `*` for any name. */
  allowedHosts: string[];
  publicUrl?: string | undefined;
  /** Number of trusted proxies in front of this server. */
  trustedHops: number;
};

const forwarded = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] as const;
/** Not read here, but Next or a library may. */
const neverTrusted = ["forwarded", "x-forwarded-port", "x-forwarded-server", "x-real-ip", "x-original-host"];

/**
 * Keeps in the forwarded headers what a trusted proxy wrote, one value each, and deletes them
 * otherwise: Next then fills in the socket's values. Later readers need not know about proxies.
 */
export function trustForwarded(headers: IncomingHttpHeaders, { trustedHops, publicUrl }: HostSettings): void {
  for (const name of neverTrusted) delete headers[name];
  for (const name of forwarded) {
    const values = trustedHops === 0 ? [] : listOf(headers[name]);
    // Each proxy appends; counted from the right, this value was written by the outermost trusted
    // proxy.
    const value = values.at(-trustedHops) ?? values[0];
    if (value) headers[name] = value;
    else delete headers[name];
  }
  // If the proxy sends no scheme, use the configured URL's.
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

/**
 * The host name the caller used, after `trustForwarded`; undefined for HTTP/1.0 clients that send
 * none.
 */
export function hostOf(headers: IncomingHttpHeaders): string | undefined {
  const host = headers["x-forwarded-host"] ?? headers.host;
  return (Array.isArray(host) ? host[0] : host)?.toLowerCase();
}

/** IP addresses and localhost cannot be rebound: no other page can have them as its origin. */
export function isAllowedHost(host: string | undefined, { allowedHosts, publicUrl }: HostSettings): boolean {
  // Browsers always send a host, so a request without one is no rebound page.
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
