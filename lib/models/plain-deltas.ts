// A fast path for nearly every event of a Chat Completions stream: one that differs from the
// previous only in its delta's text. The JSON around the text is compared as a string, skipping
// parser and reader. Pure.
import { isObject, type JsonObject } from "./answer-events";

/** Characters that JSON strings hold only escaped, and the backslash. */
const escaped = /["\\\p{Cc}]/u;

export class PlainDeltas {
  #before = "";
  #after = "";
  /**
   * Consecutive events that did not match. The 1st, 2nd, 4th, 8th … is learnt: some servers change
   * a field in every event.
   */
  #misses = 0;

  /** The text of a matching event; null if it must be read in full. */
  read(data: string): string | null {
    const before = this.#before;
    const after = this.#after;
    const end = data.length - after.length;
    // `startsWith` takes three times as long for a text this long.
    if (before === "" || end < before.length || data.slice(0, before.length) !== before || !data.endsWith(after))
      return null;
    const text = data.slice(before.length, end);
    if (escaped.test(text)) return null;
    this.#misses = 0;
    return text;
  }

  /**
   * Remembers what surrounds this event's text, if it holds nothing else. Verifies the position:
   * with another text there, the event must parse to exactly that text.
   */
  learn(data: string, chunk: JsonObject): void {
    const text = plainTextOf(chunk);
    if (text === null || text === "" || escaped.test(text)) return;
    this.#misses += 1;
    if ((this.#misses & (this.#misses - 1)) !== 0) return;
    const at = data.indexOf(`"${text}"`, data.indexOf('"content"')) + 1;
    const before = data.slice(0, at);
    const after = data.slice(at + text.length);
    if (at === 0 || textIn(`${before}${text}?${after}`) !== `${text}?`) return;
    this.#before = before;
    this.#after = after;
  }
}

function textIn(json: string): string | null {
  try {
    return plainTextOf(JSON.parse(json));
  } catch {
    // The match spanned two strings.
    return null;
  }
}

/** Chunk fields no reader uses, unless they hold an object. */
const idle = new Set(["id", "created", "model", "system_fingerprint", "service_tier", "provider"]);

/** The text of a chunk without other content; any unknown field might be content. */
function plainTextOf({ object, choices, ...rest }: JsonObject): string | null {
  const isChunk = object === undefined || object === "chat.completion.chunk";
  if (!isChunk || !Array.isArray(choices) || choices.length !== 1 || !isObject(choices[0])) return null;
  for (const name in rest) if (rest[name] !== null && (!idle.has(name) || typeof rest[name] === "object")) return null;
  const { index: _, delta, ...end } = choices[0];
  if (!isObject(delta) || !areNull(end)) return null;
  const { role, content, ...others } = delta;
  return typeof content === "string" && typeof role !== "object" && areNull(others) ? content : null;
}

function areNull(fields: JsonObject): boolean {
  for (const name in fields) if (fields[name] !== null) return false;
  return true;
}
