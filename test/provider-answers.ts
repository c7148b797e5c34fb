// Builders for Chat Completions answers in tests, and a reader for their canonical form.
import type { JsonObject } from "@/lib/models/answer-events";

export type Call = { id?: string; name?: string; arguments: string; extra?: unknown };
/** What a server sends, and its meaning. */
export type Answer = [name: string, wire: string, meaning: Partial<Meaning>];
export type Meaning = {
  text: string;
  reasoning: string;
  calls: Call[];
  finish: string | null;
  tokens: number | undefined;
  pages: string[];
  failed: number | true | null;
};

export const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
export const chunk = (delta: object, finish_reason: unknown = null, more: object = {}) =>
  frame({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }], ...more });
export const stop = chunk({}, "stop");
export const done = "data: [DONE]\n\n";
export const usage = frame({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } });
export const hello = chunk({ content: "Hello " }) + chunk({ content: "world." });

type Frame = {
  choices: { delta: JsonObject; finish_reason: string | null }[];
  usage?: { total_tokens?: number };
};
type CallPiece = JsonObject & { index: number; function: Partial<Call> };

/** The meaning of canonical frames. */
export function meaningOf(frames: string, failure: unknown): Meaning {
  const meaning: Meaning = {
    text: "",
    reasoning: "",
    calls: [],
    finish: null,
    tokens: undefined,
    pages: [],
    failed: failure ? ((failure as { statusCode?: number }).statusCode ?? true) : null,
  };
  for (const block of frames.split("\n\n").filter(Boolean)) {
    const { choices, usage: used } = JSON.parse(block.slice("data: ".length)) as Frame;
    meaning.tokens = used?.total_tokens ?? meaning.tokens;
    for (const { delta, finish_reason } of choices) {
      meaning.text += delta.content ?? "";
      meaning.reasoning += delta.reasoning_content ?? "";
      meaning.finish = finish_reason ?? meaning.finish;
      for (const { url } of (delta.annotations ?? []) as { url: string }[]) meaning.pages.push(url);
      for (const each of (delta.tool_calls ?? []) as CallPiece[]) {
        const known = meaning.calls[each.index] ?? { arguments: "" };
        meaning.calls[each.index] = {
          ...known,
          ...(each.id !== undefined && { id: each.id as string }),
          ...(each.function.name && { name: each.function.name }),
          ...(each.extra_content !== undefined && { extra: each.extra_content }),
          arguments: known.arguments + each.function.arguments,
        };
      }
    }
  }
  return meaning;
}
