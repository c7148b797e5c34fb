// Text as people read it: Markdown without its signs, sentences, and the words that carry meaning.
// Shared by what compares texts (lib/retrieval) and what quotes them (lib/models/local). Pure; no index and no
// scores here. The database stems by its own rules; nothing may rely on the two being equal.

const sentenceBreaks = new Intl.Segmenter("en", { granularity: "sentence" });
const wordBreaks = new Intl.Segmenter("en", { granularity: "word" });

const stopWords = new Set(
  `a about above after again against all also am an and any are as at be because been before being below between both
  but by can cannot could did do does doing done down during each either else ever every few for from further get
  gets got had happen happens has have having he her here hers him his how i if in into is it its itself just let
  like may me mean means might more most much must my many neither no nor not now of off often on once one only onto or other
  our ours out over own please rather same shall she should so some such tell than that the their theirs them then
  there these they this those though through thus to too under until up upon us use used uses using very via was we
  well were what when where whether which while who whom whose why will with within without work works would yes yet
  you your yours`.split(/\s+/),
);

/** Non-empty sentences in order, trimmed. A line break ends a sentence. */
export function sentences(text: string): string[] {
  return text
    .split("\n")
    .flatMap((line) => Array.from(sentenceBreaks.segment(line), (part) => part.segment.trim()))
    .filter(Boolean);
}

/** Stems of the words that are not stop words, in order, repeats kept. Empty for text without letters or digits. */
export function contentWords(text: string): string[] {
  const words: string[] = [];
  for (const part of wordBreaks.segment(text.toLowerCase())) {
    if (!part.isWordLike) continue;
    // The segmenter keeps snake_case together; a question asks for its parts.
    for (const word of part.segment.split(/[_.:]+/)) {
      const bare = word.replace(/['’].*$/, "");
      if (bare && !stopWords.has(bare)) words.push(stem(bare));
    }
  }
  return words;
}

/** Inline Markdown without its signs: links keep their words, code keeps its text, images vanish. */
export function withoutMarkup(line: string): string {
  return line
    .replace(/!\[[^\]]*\]\([^)]*\)/g, "")
    .replace(/\[([^\]]+)\]\([^)]*\)/g, "$1")
    .replace(/(\*\*|__|~~)(.+?)\1/g, "$2")
    .replace(/(?<![\w*])\*(?!\s)([^*]+?)\*(?![\w*])/g, "$1")
    .replace(/`([^`]+)`/g, "$1")
    .replace(/<\/?[a-z][^>]*>/gi, "")
    .replace(/\s+/g, " ")
    .trim();
}

/** The commonest English endings only: enough to meet "stored" with "stores", never a dictionary. */
function stem(word: string): string {
  let root = word;
  if (/(?:ss|sh|ch|x)es$/.test(root)) root = root.slice(0, -2);
  else if (root.length > 4 && /ie[sd]$/.test(root)) root = `${root.slice(0, -3)}y`;
  else if (root.length > 3 && /[^sui]s$/.test(root)) root = root.slice(0, -1);
  if (root.length > 6 && /[st]ion$/.test(root)) root = root.slice(0, -3);
  else if (root.length > 5 && root.endsWith("ing")) root = single(root.slice(0, -3));
  else if (root.length > 4 && root.endsWith("ed")) root = single(root.slice(0, -2));
  else if (root.length > 5 && root.endsWith("ly")) root = root.slice(0, -2);
  return root.length > 3 && root.endsWith("e") ? root.slice(0, -1) : root;
}

/** "stopp" → "stop"; "fill" and "pass" stay as they are. */
function single(root: string): string {
  return /([bdfgmnprt])\1$/.test(root) ? root.slice(0, -1) : root;
}
