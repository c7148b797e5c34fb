// Substring search over messages: a normalized text, and a character signature that cheaply rules
// out texts that cannot contain a query. Pure. Works for every script: pg_trgm only knows the
// letters of the database's locale, which is ASCII in the embedded database (decision 0018).

/** Only the beginning of a longer message is searched: about ten pages. */
const maxCharacters = 10_000;
/** An answer of 2,000 characters sets a third of them. */
export const gramBits = 2048;
const one = "1".charCodeAt(0);

/** Folds case, width, composed letters and white space. */
export function foldText(text: string): string {
  const beginning = text.slice(0, maxCharacters).toWellFormed().replaceAll("\0", " ");
  return beginning.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").slice(0, maxCharacters).toWellFormed();
}

/** Scripts without spaces, where a word is often two characters. */
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/**
 * One bit per trigram, and per bigram of an unspaced script, as a Postgres bit string. If a text
 * contains another, its signature has all of the other's bits; the converse must be checked. Texts
 * too short for either have no bits.
 */
export function gramsOf(folded: string): string {
  const bits = Buffer.alloc(gramBits, "0");
  const set = (hash: number) => {
    bits[(hash >>> 0) % gramBits] = one;
  };
  let before = 0;
  let last = 0;
  let lastUnspaced = false;
  for (let at = 0; at < folded.length; ) {
    const code = folded.codePointAt(at) as number;
    at += code > 0xffff ? 2 : 1;
    const isUnspaced = code > 0x7f && unspaced.test(String.fromCodePoint(code));
    if (isUnspaced && lastUnspaced) set(mix(mix(1, last), code));
    if (before > 0) set(mix(mix(mix(0, before), last), code));
    before = last;
    last = code;
    lastUnspaced = isUnspaced;
  }
  return bits.toString("latin1");
}

/** One round of MurmurHash3. */
function mix(hash: number, code: number): number {
  const scrambled = Math.imul(code, 0xcc9e2d51);
  const mixed = hash ^ Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b873593);
  const next = Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64;
  return next ^ (next >>> 16);
}
