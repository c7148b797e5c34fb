// Transcript of one model call and its tool results, in the form the next call sends. Built from the
// SDK's parts, not from chunks (chunk-state.ts): of a failed call the model gets the SDK's whole error
// text, a chunk only a fixed sentence. Pure.
import type {
  AssistantModelMessage,
  ModelMessage,
  TextPart,
  TextStreamPart,
  ToolModelMessage,
  ToolResultPart,
  ToolSet,
} from "ai";

export type ModelPart = TextStreamPart<ToolSet>;
export type ToolCall = Extract<ModelPart, { type: "tool-call" }>;

type Content = Exclude<AssistantModelMessage["content"], string>[number];
type TextBlock = TextPart | Extract<Content, { type: "reasoning" }>;

export class StepTranscript {
  readonly #content: Content[] = [];
  readonly #open = new Map<string, TextBlock>();
  readonly #calls: ToolCall[] = [];
  readonly #results = new Map<string, ToolResultPart>();

  /** Feed every part in order. */
  append(part: ModelPart): void {
    switch (part.type) {
      case "text-start":
      case "text-delta":
      case "text-end":
        this.#appendText("text", part);
        break;
      case "reasoning-start":
      case "reasoning-delta":
      case "reasoning-end":
        this.#appendText("reasoning", part);
        break;
      case "file":
      case "reasoning-file": {
        const { base64: data, mediaType } = part.file;
        this.#content.push({ type: part.type, data, mediaType, ...optionsOf(part) });
        break;
      }
      case "tool-call": {
        const { toolCallId, toolName, input, invalid, providerExecuted } = part;
        this.#calls.push(part);
        // An unparseable call may have only its raw text as input.
        const readable = invalid && typeof input !== "object" ? {} : input;
        this.#content.push({
          type: "tool-call",
          toolCallId,
          toolName,
          input: readable,
          providerExecuted,
          ...optionsOf(part),
        });
        break;
      }
      case "tool-result":
      case "tool-error":
        this.#results.set(part.toolCallId, {
          type: "tool-result",
          toolCallId: part.toolCallId,
          toolName: part.toolName,
          output: outputOf(part),
          ...optionsOf(part),
        });
    }
  }

  /** Calls without a result, in the model's order. */
  get unanswered(): ToolCall[] {
    return this.#calls.filter(
      ({ toolCallId, providerExecuted }) => !providerExecuted && !this.#results.has(toolCallId),
    );
  }

  /** True if the server's tools have all answered, so the model must be called again. */
  get needsNextCall(): boolean {
    return this.#calls.some(({ providerExecuted }) => !providerExecuted) && this.unanswered.length === 0;
  }

  messages(): ModelMessage[] {
    const content = this.#content.filter((part) => part.type !== "text" || part.text !== "" || part.providerOptions);
    const results = this.#calls.flatMap(({ toolCallId }) => this.#results.get(toolCallId) ?? []);
    const toolMessage: ToolModelMessage = { role: "tool", content: results };
    return [{ role: "assistant", content }, toolMessage];
  }

  #appendText(
    type: TextBlock["type"],
    part: Extract<ModelPart, { type: `${"text" | "reasoning"}-${string}`; id: string }>,
  ): void {
    const key = `${type} ${part.id}`;
    const block = this.#open.get(key) ?? ({ type, text: "" } satisfies TextBlock as TextBlock);
    if (!this.#open.has(key)) this.#content.push(block);
    this.#open.set(key, block);
    if ("text" in part) block.text += part.text;
    Object.assign(block, optionsOf(part));
    if (part.type.endsWith("-end")) this.#open.delete(key);
  }
}

/** Provider metadata of a part is sent back with it, e.g. encrypted reasoning. */
function optionsOf({ providerMetadata }: { providerMetadata?: TextPart["providerOptions"] }) {
  return providerMetadata ? { providerOptions: providerMetadata } : {};
}

function outputOf(part: Extract<ModelPart, { type: "tool-result" | "tool-error" }>): ToolResultPart["output"] {
  if (part.type === "tool-error") return { type: "error-text", value: String(part.error) };
  if (typeof part.output === "string") return { type: "text", value: part.output };
  // Normalized through JSON: drops undefined values and turns dates into strings.
  return { type: "json", value: JSON.parse(JSON.stringify(part.output ?? null)) };
}
