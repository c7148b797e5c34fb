// Reads a Chat Completions delta under all the field names that servers use (docs/providers.md).
// Pure.
import { isObject, type JsonObject, numberOf } from "./answer-events";

export type Delta = { kind: "content" | "reasoning_content"; text: string };

/** Servers that fill two of these repeat the same text: the first one wins. */
const reasoningFields: string[] = [
  "reasoning_content",
  "reasoning",
  "thinking",
  "reasoning_text",
  "thought",
  "thoughts",
  "thinking_content",
  "reasoning_details",
  "thinking_blocks",
];

/** The delta's texts in order; reasoning first if a server sends both at once. */
export function deltasOf(delta: JsonObject): Delta[] {
  const deltas: Delta[] = [];
  const reasoning = reasoningIn(delta);
  if (reasoning !== "") deltas.push({ kind: "reasoning_content", text: reasoning });
  const { content } = delta;
  if (typeof content === "string") deltas.push({ kind: "content", text: content });
  else if (content !== undefined && content !== null)
    for (const part of Array.isArray(content) ? content : [content])
      deltas.push({ kind: kindOf(part), text: textOf(part) });
  return deltas;
}

/** Iterates the delta's own fields: most have only a role and a text, and there are many deltas. */
function reasoningIn(delta: JsonObject): string {
  let text = "";
  let rank = reasoningFields.length;
  for (const field in delta) {
    if (field === "content" || field === "role") continue;
    const at = reasoningFields.indexOf(field);
    if (at < 0 || at >= rank) continue;
    const found = textOf(delta[field]);
    if (found === "") continue;
    text = found;
    rank = at;
  }
  return text;
}

function kindOf(part: unknown): Delta["kind"] {
  const type = isObject(part) ? part.type : undefined;
  return typeof type === "string" && /^(?:thinking|thought|reasoning)/.test(type) ? "reasoning_content" : "content";
}

/** Nested parts occur; nothing nests deeper. */
const maxDepth = 3;

/**
 * The text of a string, a part or a list of parts. A number is text that a gateway parsed as a
 * number.
 */
function textOf(value: unknown, depth = 0): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  if (depth > maxDepth) return "";
  if (Array.isArray(value)) return value.map((each) => textOf(each, depth + 1)).join("");
  if (!isObject(value)) return "";
  return textOf(value.thinking ?? value.reasoning ?? value.text ?? value.summary ?? value.content, depth + 1);
}

export type UrlAnnotation = { url: string; title?: string };

/** Pages cited by a chunk: in annotations, or beside the choices as with Perplexity and xAI. */
export function citedPagesOf(chunk: JsonObject, delta: JsonObject): UrlAnnotation[] {
  const lists = [delta.annotations, chunk.search_results, chunk.citations];
  return lists.flatMap((list) => (Array.isArray(list) ? list.flatMap(pageOf) : []));
}

function pageOf(cited: unknown): UrlAnnotation[] {
  const { url, title } = isObject(cited) ? (isObject(cited.url_citation) ? cited.url_citation : cited) : { url: cited };
  if (typeof url !== "string" || !URL.canParse(url)) return [];
  return [{ url, ...(typeof title === "string" && { title }) }];
}

/** A chunk's usage: at the top, in Groq's own field, or in Moonshot's choice. */
export function usageIn(chunk: JsonObject, choice?: JsonObject): JsonObject | null {
  const { usage, x_groq: groq } = chunk;
  return usageOf(usage ?? (isObject(groq) ? groq.usage : undefined) ?? choice?.usage);
}

function usageOf(value: unknown): JsonObject | null {
  if (!isObject(value)) return null;
  const details = (name: string) => {
    const usage = value[name];
    return isObject(usage) && Object.fromEntries(Object.entries(usage).map(([key, each]) => [key, numberOf(each)]));
  };
  const prompt = details("prompt_tokens_details");
  const completion = details("completion_tokens_details");
  return {
    prompt_tokens: numberOf(value.prompt_tokens ?? value.input_tokens),
    completion_tokens: numberOf(value.completion_tokens ?? value.output_tokens),
    total_tokens: numberOf(value.total_tokens),
    ...(prompt && { prompt_tokens_details: prompt }),
    ...(completion && { completion_tokens_details: completion }),
  };
}
