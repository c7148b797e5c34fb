// Whether the text of a link names another place than the one it leads to. Pure.
import { visibleLine } from "@/lib/turn/foreign-text";

/** A name with a dot in it, as people write hosts; also one that is a file's. */
// Bounded: maxTextLength.
const hostLike = /[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}[\p{L}\p{N}-]+|\d{1,3}(?:\.\d{1,3}){3}/gu;

/** Longer than any name of a place; it also bounds what a hostile text can cost. */
const maxTextLength = 500;

/**
 * What to show beside a link so that nobody is misled: its host, or a mail's address, when the text names another one, or
 * when the host is written in letters that look like others. Null when the text names the same place, or none.
 */
export function undeclaredHost(text: string, url: URL): string | null {
  const mail = url.protocol === "mailto:";
  const place = mail ? decoded(url.pathname) : url.host;
  const host = mail ? place.slice(place.lastIndexOf("@") + 1) : url.hostname;
  if (host.split(".").some((label) => label.startsWith("xn--"))) return place;
  if (text.length > maxTextLength) return place;
  // Full-width letters and dots are read as plain ones.
  const words = visibleLine(text.normalize("NFKC")).replace(/[\u3002\uff61]/g, ".");
  if (mail && words.includes("@")) return words.toLowerCase().includes(place.toLowerCase()) ? null : place;
  const claims = Array.from(words.matchAll(hostLike)).filter(({ index }) => !inPath(words, index));
  return claims.every(([claim]) => isWithin(host, claim)) ? null : place;
}

/** Behind a single slash: part of a path, such as a file. */
function inPath(text: string, index: number): boolean {
  return text[index - 1] === "/" && text[index - 2] !== "/";
}

/** A host belongs to the name it ends with. */
function isWithin(host: string, claim: string): boolean {
  const named = URL.canParse(`http://${claim}`) ? new URL(`http://${claim}`).hostname : claim;
  const bare = named.replace(/^www\./, "");
  return host === bare || host.endsWith(`.${bare}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded: it is shown as it stands.
    return text;
  }
}
