// Counts a text's tokens (decision 0035). Long texts are counted in slices with pauses, since
// counting blocks the event loop. Counts are cached by the text's hash: a message never changes.

import { hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { processSingleton } from "@/lib/process-singletons";

/**
 * The library is quadratic in the length of a word, and a run of one letter is a word. In slices
 * this short any text costs about the same. Slices cut at spaces have the same tokens as the whole.
 */
const sliceCharacters = 256;
/** Time between pauses: about as long as a commit. */
const atOnceMs = 5;
/** Each takes about 100 bytes with its hash. */
const maxRemembered = 20_000;
/** Of the library's own cache, which holds words of users' texts. */
const mergeCacheSize = 2_000;

type Counter = (text: string) => number;
type TokenCounts = { counter?: Promise<Counter>; remembered: Map<string, number> };

/** Shared, since the vocabulary takes 45 MB. */
const tokenCounts = processSingleton<TokenCounts>("tokens", () => ({ remembered: new Map() }));

/**
 * Uses cl100k_base: the vocabularies of Llama 3 and Qwen derive from it, and OpenAI's newer one
 * rarely yields more tokens.
 */
export async function countTokens(text: string): Promise<number> {
  const counts = tokenCounts();
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

/** Before the last space in the slice, since tokens start with their space; else at the limit. */
function sliceEnd(text: string, from: number): number {
  const end = from + sliceCharacters;
  if (end >= text.length) return text.length;
  for (let at = end; at > from; at--) if (text[at] === " ") return at;
  return end;
}

async function loadCounter(): Promise<Counter> {
  // Two imports: each blocks the event loop for about 30 ms.
  await import("gpt-tokenizer/bpeRanks/cl100k_base");
  await setImmediate();
  const tokenizer = await import("gpt-tokenizer/encoding/cl100k_base");
  tokenizer.setMergeCacheSize(mergeCacheSize);
  // Control tokens in user text are counted as text, never refused.
  const options = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
  return (text) => tokenizer.countTokens(text, options);
}
