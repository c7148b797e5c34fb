// Whether a link's text names a different host than its target. Pure.
import { visibleLine } from "@/lib/turn/foreign-text";

/** A dotted name that reads as a host; file names match too. */
// Bounded: maxTextLength.
const hostLike = /[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}[\p{L}\p{N}-]+|\d{1,3}(?:\.\d{1,3}){3}/gu;

/** Longer than any host name; also bounds the cost of hostile text. */
const maxTextLength = 500;

/**
 * The host or mail address to show beside a link whose text names a different one, or whose host
 * uses lookalike letters. Null when the text names the same place, or none.
 */
export function undeclaredHost(text: string, url: URL): string | null {
  const mail = url.protocol === "mailto:";
  const place = mail ? decoded(url.pathname) : url.host;
  const host = mail ? place.slice(place.lastIndexOf("@") + 1) : url.hostname;
  if (host.split(".").some((label) => label.startsWith("xn--"))) return place;
  if (text.length > maxTextLength) return place;
  // Reads full-width letters and dots as plain ones.
  const words = visibleLine(text.normalize("NFKC")).replace(/[\u3002\uff61]/g, ".");
  if (mail && words.includes("@")) return words.toLowerCase().includes(place.toLowerCase()) ? null : place;
  const claims = Array.from(words.matchAll(hostLike)).filter(({ index }) => !inPath(words, index));
  return claims.every(([claim]) => isWithin(host, claim)) ? null : place;
}

/** After a single slash: part of a path, such as a file. */
function inPath(text: string, index: number): boolean {
  return text[index - 1] === "/" && text[index - 2] !== "/";
}

/** True when `host` is the claimed domain or a subdomain of it. */
function isWithin(host: string, claim: string): boolean {
  const named = URL.canParse(`http://${claim}`) ? new URL(`http://${claim}`).hostname : claim;
  const bare = named.replace(/^www\./, "");
  return host === bare || host.endsWith(`.${bare}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded: shown as is.
    return text;
  }
}
