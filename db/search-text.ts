// What a message is found by, apart from its words: its text in a form that compares, and a signature of its characters that tells
// cheaply which texts cannot hold a given one. Pure. For every script alike: pg_trgm knows only what the database's locale calls a
// letter, which in the embedded database is ASCII (decision 0018).

/** Of a longer message the beginning is searched: about ten pages. */
const maxCharacters = 10_000;
/** An answer of 2,000 characters sets a third of them. */
export const gramBits = 2048;
const one = "1".charCodeAt(0);

/** Case, width, composed letters and white space no longer make a difference. */
export function foldText(text: string): string {
  const beginning = text.slice(0, maxCharacters).toWellFormed().replaceAll("\0", " ");
  return beginning.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").slice(0, maxCharacters).toWellFormed();
}

/** Scripts that are written without spaces: there a word is often two characters. */
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/**
 * A bit for each three characters in a row, and for each two of an unspaced script, as Postgres reads a bit string. If a text holds
 * another, its signature holds all bits of the other's; the reverse has to be checked. Texts too short for either have none.
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

/** One step of MurmurHash3. */
function mix(hash: number, code: number): number {
  const scrambled = Math.imul(code, 0xcc9e2d51);
  const mixed = hash ^ Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b873593);
  const next = Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64;
  return next ^ (next >>> 16);
}
