// Prompt size: the text a tokenizer must count, and estimated tokens for everything else. Pure.
import { asSchema, type ModelMessage, type ToolModelMessage, type ToolSet } from "ai";

/** Role, separators and ids of a message, in any chat template. */
const tokensPerMessage = 8;
/** For an image or other file: about what providers count for a large one. */
const tokensPerFile = 1_500;
/**
 * For signatures and encrypted reasoning: base64, which providers count below its length as text.
 */
const charactersPerSignatureToken = 4;
/** About 500 tokens of an older tool result: enough to know what it was about. */
const maxResultCharacters = 2_000;

/** `text` goes to the tokenizer; `tokens` is added to its count. */
export type Size = { text: string; tokens: number };

type Part = Exclude<ModelMessage["content"], string>[number];
type ToolResult = Extract<ToolModelMessage["content"][number], { type: "tool-result" }>;

export function sizeOf({ content }: ModelMessage): Size {
  if (typeof content === "string") return { text: content, tokens: tokensPerMessage };
  let tokens = tokensPerMessage;
  const texts = content.map((part) => {
    if ("providerOptions" in part && part.providerOptions)
      tokens += Math.ceil(JSON.stringify(part.providerOptions).length / charactersPerSignatureToken);
    const text = textOf(part);
    if (text === null) tokens += tokensPerFile;
    return text ?? "";
  });
  return { text: texts.join("\n"), tokens };
}

/** Null for parts that are not text. */
function textOf(part: Part): string | null {
  switch (part.type) {
    case "text":
    case "reasoning":
      return part.text;
    case "tool-call":
      return `${part.toolName} ${JSON.stringify(part.input)}`;
    case "tool-result":
      return resultText(part.output);
    case "tool-approval-request":
    case "tool-approval-response":
      return "";
    default:
      return null;
  }
}

function resultText(output: ToolResult["output"]): string {
  if (output.type === "text" || output.type === "error-text") return output.value;
  return "value" in output ? JSON.stringify(output.value) : (output.reason ?? "");
}

/** Cached by schema object: nearly every turn has the server's own tools. */
const schemaTexts = new WeakMap<object, string>();

async function schemaText(schema: ToolSet[string]["inputSchema"]): Promise<string> {
  const known = schemaTexts.get(schema);
  if (known !== undefined) return known;
  const text = JSON.stringify(await asSchema(schema).jsonSchema);
  schemaTexts.set(schema, text);
  return text;
}

/** As a provider's adapter serializes them: names, descriptions and JSON Schemas. */
export async function toolsText(tools: ToolSet = {}): Promise<string> {
  const entries = Object.entries(tools).map(async ([name, { description, inputSchema }]) => {
    const head = JSON.stringify({ name, description, parameters: 0 });
    return `${head.slice(0, -2)}${await schemaText(inputSchema)}}`;
  });
  return (await Promise.all(entries)).join("\n");
}

/** Truncates long tool results, with a marker for the model. `count`: how many were truncated. */
export function truncateToolResults(messages: ModelMessage[]): { messages: ModelMessage[]; count: number } {
  let count = 0;
  const shortened = messages.map((message) => {
    if (message.role !== "tool") return message;
    const content = message.content.map((part) => {
      if (part.type !== "tool-result") return part;
      const text = resultText(part.output);
      if (text.length <= maxResultCharacters) return part;
      count += 1;
      const type = part.output.type.startsWith("error") ? ("error-text" as const) : ("text" as const);
      return { ...part, output: { type, value: truncatedText(text) } };
    });
    return { ...message, content };
  });
  return { messages: shortened, count };
}

function truncatedText(text: string): string {
  // Do not split a surrogate pair.
  const beginning = text.slice(0, maxResultCharacters).replace(/[\uD800-\uDBFF]$/, "");
  const leftOut = text.length - beginning.length;
  return `${beginning}\n[Shortened: the other ${leftOut} characters of this tool result were left out. Call the tool again if you need them.]`;
}
