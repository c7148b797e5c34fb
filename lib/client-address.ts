// Maps a request's address to a caller for the rate limits (lib/limits.ts).
import { isIPv4, isIPv6 } from "node:net";

/**
 * Where a request comes from: an IPv4 address, or the /64 network of an IPv6 address, since a
 * subscriber has at least one and can use all its addresses. The header holds what the socket or a
 * trusted proxy reported (TRUST_PROXY).
 */
export function clientAddress(headers: Headers): string {
  const entry = headers.get("x-forwarded-for")?.split(",").at(-1)?.trim() ?? "";
  // Some proxies add the port: 203.0.113.9:4711, [2001:db8::1]:4711.
  const [, bracketed, plain = ""] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(entry) ?? [undefined, undefined, entry];
  return networkOf(bracketed ?? plain) ?? "unknown";
}

function networkOf(address: string): string | null {
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return null;
  // URL normalises IPv6 to its shortest form without dotted quads; zones are local to this machine.
  const canonical = new URL(`http://[${address.split("%", 1)[0]}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical) ?? [];
  if (high && low) return [high, low].flatMap((group) => bytesOf(group)).join(".");
  const [head = [], tail = []] = canonical.split("::").map((part) => part.split(":").filter(Boolean));
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(":")}::/64`;
}

function bytesOf(group: string): number[] {
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 0xff];
}
