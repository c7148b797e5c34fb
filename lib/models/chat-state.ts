// State that Chat Completions servers want back with their reasoning, and under which name: the
// adapter reads it from several fields, sends it back in one, and drops OpenRouter's
// `reasoning_details`. chat-reader.ts reads the state, endings.ts passes it through the adapter at
// the end of a step, and this file puts it into the next request (docs/providers.md).
import type { JSONObject, LanguageModelV4Message, LanguageModelV4Prompt } from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import { isObject, type JsonObject } from "./answer-events";

export type ReasoningState = {
  /** The field the reasoning came in, if not `reasoning_content`; `tags`: inline in the text. */
  field?: "reasoning" | "tags";
  /** OpenRouter's, which carry the signatures and encrypted reasoning of other APIs. */
  details?: JSONObject[];
};

/** Field of a canonical delta. */
export const stateField = "rivulet_state";

/**
 * Characters of JSON: the limit per part (lib/turn/provider-state.ts), minus room for its other
 * fields.
 */
const maxDetailCharacters = 250_000;

/** Collects the state of one answer from its deltas. */
export class ChatReasoning {
  /** The answer began with think tags. */
  tagged = false;
  #named = false;
  readonly #details: JSONObject[] = [];
  #detailCharacters = 0;

  read(delta: JsonObject): void {
    if (typeof delta.reasoning === "string" && delta.reasoning_content === undefined) this.#named = true;
    if (!Array.isArray(delta.reasoning_details)) return;
    for (const detail of delta.reasoning_details.filter(isObject) as JSONObject[]) {
      this.#detailCharacters += JSON.stringify(detail).length;
      if (this.#detailCharacters <= maxDetailCharacters) this.#add(detail);
    }
  }

  get state(): ReasoningState | null {
    const details = this.#detailCharacters <= maxDetailCharacters && this.#details.length > 0 && this.#details;
    if (details) return { details };
    if (this.#named) return { field: "reasoning" };
    return this.tagged ? { field: "tags" } : null;
  }

  /** Streams split one detail's text into pieces. */
  #add(detail: JSONObject): void {
    const last = this.#details.at(-1);
    const text = detail.type === "reasoning.text" ? "text" : detail.type === "reasoning.summary" ? "summary" : null;
    if (!text || !last || last.type !== detail.type || last.index !== detail.index) {
      this.#details.push({ ...detail });
      return;
    }
    const definedEntries = Object.entries(detail).filter(([, value]) => value !== null && value !== undefined);
    Object.assign(last, Object.fromEntries(definedEntries), { [text]: textOf(last[text]) + textOf(detail[text]) });
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Puts each answer's state into its message, in the form in which it arrived. */
export function chatState(): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => ({ ...params, prompt: withStates(params.prompt) }),
  };
}

function withStates(prompt: LanguageModelV4Prompt): LanguageModelV4Prompt {
  const question = prompt.findLastIndex(({ role }) => role === "user");
  return prompt.map((message, index) => withState(message, index > question));
}

function withState(message: LanguageModelV4Message, inTurn: boolean): LanguageModelV4Message {
  if (message.role !== "assistant") return message;
  const named = message.content.find((part) => part.providerOptions?.openaiCompatible?.name);
  // The adapter reads the name from the message only.
  if (named) return { ...message, providerOptions: { ...message.providerOptions, ...named.providerOptions } };
  const reasonings = message.content.filter((part) => part.type === "reasoning");
  const state = reasonings
    .map(({ providerOptions }) => providerOptions?.rivulet as ReasoningState | undefined)
    .find(Boolean);
  if (!state) return message;
  const text = reasonings.map((part) => part.text).join("");
  return {
    ...message,
    content: message.content.filter((part) => part.type !== "reasoning"),
    // The adapter copies these fields into the message.
    providerOptions: { ...message.providerOptions, openaiCompatible: fieldsOf(state, text, inTurn) },
  };
}

/** Reasoning from tags returns only within a turn's own steps; no later request holds it. */
function fieldsOf({ field, details }: ReasoningState, text: string, inTurn: boolean): JSONObject {
  if (details) return { reasoning_details: details };
  if (text === "" || (field === "tags" && !inTurn)) return {};
  return field === "reasoning" ? { reasoning: text } : { reasoning_content: text };
}
