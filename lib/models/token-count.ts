// How many tokens a text has (decision 0035). Long texts are counted in slices with pauses between
// them, since everything else of the process waits meanwhile. Counts are remembered by the text's
// hash: a message never changes.
import { hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";

/**
 * The library takes the square of the length of one word, and a run of one letter is a word. In
 * slices as short as this, any text costs about the same. Cut at a space they have the same tokens
 * as the whole.
 */
const sliceCharacters = 256;
/** Between two pauses: about as long as a commit. */
const atOnceMs = 5;
/** With its hash one takes some 100 bytes. */
const maxRemembered = 20_000;
/** Of the library's own, which holds words of users' texts. */
const mergeCacheSize = 2_000;

type Counter = (text: string) => number;
type TokenCounts = { counter?: Promise<Counter>; remembered: Map<string, number> };

// On globalThis because Next bundles each route apart, and the vocabulary takes 45 MB.
const key = Symbol.for("rivulet.tokens");
const shared = globalThis as { [key]?: TokenCounts };

/**
 * By cl100k_base: what the vocabularies of Llama 3 and Qwen are made from; OpenAI's newer one
 * rarely makes more tokens.
 */
export async function countTokens(text: string): Promise<number> {
  shared[key] ??= { remembered: new Map() };
  const counts = shared[key];
  const digest = hash("sha1", text, "base64");
  const known = counts.remembered.get(digest);
  if (known !== undefined) return known;
  counts.counter ??= loadCounter();
  const count = await countSlices(text, await counts.counter);
  if (counts.remembered.size >= maxRemembered)
    for (const oldest of counts.remembered.keys()) {
      counts.remembered.delete(oldest);
      break;
    }
  counts.remembered.set(digest, count);
  return count;
}

async function countSlices(text: string, counter: Counter): Promise<number> {
  let count = 0;
  let sinceMs = performance.now();
  for (let at = 0; at < text.length; ) {
    const end = sliceEnd(text, at);
    count += counter(text.slice(at, end));
    at = end;
    if (performance.now() - sinceMs < atOnceMs) continue;
    await setImmediate();
    sinceMs = performance.now();
  }
  return count;
}

/** Before the last space in the slice, for words begin with theirs; else wherever it is full. */
function sliceEnd(text: string, from: number): number {
  const end = from + sliceCharacters;
  if (end >= text.length) return text.length;
  for (let at = end; at > from; at--) if (text[at] === " ") return at;
  return end;
}

async function loadCounter(): Promise<Counter> {
  // Two imports: each holds the event loop for some 30 ms.
  await import("gpt-tokenizer/bpeRanks/cl100k_base");
  await setImmediate();
  const tokenizer = await import("gpt-tokenizer/encoding/cl100k_base");
  tokenizer.setMergeCacheSize(mergeCacheSize);
  // What looks like a control token is text of a user: it is counted, and never refused.
  const options = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
  return (text) => tokenizer.countTokens(text, options);
}
