// Converts a response's input items to prompt messages (docs/protocol.md §6.7). Items issued by
// this server are taken from their stored message, with the provider state its model expects back.
// Pure; throws AppError naming any item this server does not support.
import { getToolName, isToolUIPart } from "ai";
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { isTooDeep } from "@/lib/json-depth";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { ReferencedMessage } from "@/lib/turn/turn-context";
import type { TurnPrompt } from "@/lib/turn/turn-input";
import { messageContent, orText, plain, userPart } from "./responses-content";
import { argumentsOf, itemParts, parseItemId } from "./responses-items";

type Part = ChatMessage["parts"][number];
type ToolPart = Extract<Part, { type: `tool-${string}` }>;
type CallPart = Extract<Part, { toolCallId: string }>;

const id = z.string().max(256).nullish();

const items = [
  z.object({
    type: z.literal("message"),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: messageContent,
    id,
  }),
  z.object({
    type: z.literal("function_call"),
    call_id: z.string().min(1),
    name: z.string().min(1),
    arguments: z.string(),
    id,
  }),
  z.object({ type: z.literal("function_call_output"), call_id: z.string(), output: messageContent, id }),
  z.object({
    type: z.literal("reasoning"),
    summary: z.array(z.object({ type: z.literal("summary_text"), text: z.string() })).default([]),
    content: z.array(z.object({ text: z.string() })).nullish(),
    encrypted_content: z.string().nullish(),
    id,
  }),
  z.object({ type: z.literal("item_reference"), id: z.string().max(256) }),
] as const;

const item = z.discriminatedUnion("type", items, {
  error:
    "is not an item that this server takes: message, function_call, function_call_output, reasoning, item_reference",
});
type Item = z.output<typeof item>;

/** Two kinds of item may omit their type. */
const typedItem = z.preprocess((value) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const { type } = value as { type?: unknown };
  if (type !== undefined && type !== null) return value;
  return { ...value, type: "role" in value ? "message" : "item_reference" };
}, item);

export const responseInput = orText(
  z.array(typedItem, { error: "must be a text or a list of items" }).max(10_000),
  (content) => [{ role: "user", content }],
);
export type ResponseInput = z.output<typeof responseInput>;

/** Ids of the stored messages that items refer to. */
export function messagesNamed(input: ResponseInput): string[] {
  const ids = input.flatMap(({ id }) => (id ? (parseItemId(id)?.messageId ?? []) : []));
  return Array.from(new Set(ids));
}

export type ParsedInput = Pick<TurnPrompt, "messages" | "notes"> & { instructions: string[]; replaces: boolean };

type Answer = TurnPrompt["messages"][number] & { from: string | null };

/**
 * The messages of `input`, following the answer they continue. Outputs for that answer's calls go
 * into a copy of it, which comes first and replaces it (`replaces`): a stored answer never changes.
 */
export function conversationOf(
  input: ResponseInput,
  known: ReadonlyMap<string, ReferencedMessage>,
  continued: ReferencedMessage | null,
): ParsedInput {
  const reader = new InputReader(known);
  if (continued) reader.continue(continued);
  for (const [index, each] of input.entries()) reader.read(each, `input.${index}`);
  return reader.end();
}

class InputReader {
  readonly #known: ReadonlyMap<string, ReferencedMessage>;
  readonly #messages: TurnPrompt["messages"] = [];
  readonly #instructions: string[] = [];
  /** Calls without an output. */
  readonly #open = new Map<string, (output: string) => void>();
  #answer: Answer | null = null;
  #replaces = false;
  #continues = false;
  readonly #notes: { at: number; text: string }[] = [];

  constructor(known: ReadonlyMap<string, ReferencedMessage>) {
    this.#known = known;
  }

  continue({ id, parts, metadata }: ReferencedMessage): void {
    this.#continues = true;
    if (!parts.some(isToolUIPart)) return;
    const model = modelOf(metadata);
    const answer: Answer = { role: "assistant", parts: [...parts], from: id, ...(model && { metadata: { model } }) };
    parts.forEach((part, index) => {
      if (isToolUIPart(part) && part.state !== "output-available") this.#expect(answer.parts, index, part);
    });
    this.#replaces = this.#open.size > 0;
    if (this.#replaces) this.#messages.push(answer);
  }

  read(item: Item, field: string): void {
    switch (item.type) {
      case "message":
        this.#message(item, `${field}.content`);
        break;
      case "reasoning": {
        const text = [...item.summary, ...(item.content ?? [])].map((part) => part.text).join("\n\n");
        this.#append(item, { type: "reasoning", text, state: "done" });
        break;
      }
      case "function_call": {
        const input = parseArguments(item.arguments, `${field}.arguments`);
        this.#append(item, { type: `tool-${item.name}`, toolCallId: item.call_id, state: "input-available", input });
        break;
      }
      case "function_call_output":
        this.#output(item.call_id, plain(item.output, `${field}.output`), field);
        break;
      case "item_reference": {
        const found = this.#stored(item.id);
        if (!found) throw new AppError("not_found", `Item with id '${item.id}' not found.`);
        this.#add(found.part, found.message);
      }
    }
  }

  #message(item: Extract<Item, { type: "message" }>, field: string): void {
    if (item.role === "assistant") {
      this.#append(item, { type: "text", text: plain(item.content, field) });
      return;
    }
    this.#answer = null;
    if (item.role === "user") this.#messages.push({ role: "user", parts: item.content.map(userPart) });
    else if (this.#messages.length > 0 || this.#continues)
      this.#notes.push({ at: this.#messages.length, text: plain(item.content, field) });
    else this.#instructions.push(plain(item.content, field));
  }

  #output(callId: string, output: string, field: string): void {
    const answer = this.#open.get(callId);
    if (!answer)
      throw new AppError(
        "bad_request",
        `${field}.call_id: No tool call found for function call output with call_id ${callId}.`,
      );
    this.#open.delete(callId);
    answer(output);
    // The model's next output is a separate answer.
    this.#answer = null;
  }

  end(): ParsedInput {
    const [callId] = this.#open.keys();
    if (callId !== undefined)
      throw new AppError("bad_request", `input: No tool output found for function call ${callId}.`);
    if (this.#messages.length === 0) throw new AppError("bad_request", "input: must hold a message");
    if (!this.#continues && !this.#messages.some(({ role }) => role === "user"))
      throw new AppError("bad_request", "input: must hold a user message");
    const messages = this.#messages.map(({ role, parts, metadata }) => ({
      role,
      parts,
      ...(metadata && { metadata }),
    }));
    const notes = this.#notes.map(({ at, text }) => ({ behind: messages.length - at, text }));
    return { messages, instructions: this.#instructions, replaces: this.#replaces, ...(notes.length > 0 && { notes }) };
  }

  /** Uses the stored part if the item has its id and the same content. */
  #append(item: { id?: string | null; encrypted_content?: string | null }, part: Part): void {
    const found = this.#stored(item.id ?? item.encrypted_content ?? "");
    if (found && isSame(found.part, part)) this.#add(found.part, found.message);
    else this.#add(part, null);
  }

  #add(part: Part, source: ReferencedMessage | null): void {
    if (source && this.#answer?.from && this.#answer.from !== source.id) this.#answer = null;
    if (!this.#answer) {
      this.#answer = { role: "assistant", parts: [], from: null };
      this.#messages.push(this.#answer);
    }
    if (source) {
      this.#answer.from = source.id;
      const model = modelOf(source.metadata);
      if (model) this.#answer.metadata = { model };
    }
    const { parts } = this.#answer;
    const index = parts.push(isToolUIPart(part) ? unanswered(part) : part) - 1;
    if (isToolUIPart(part)) this.#expect(parts, index, part);
  }

  #expect(parts: Part[], index: number, call: CallPart): void {
    this.#open.set(call.toolCallId, (output) => {
      parts[index] = { ...unanswered(call), state: "output-available", output } as ToolPart;
    });
  }

  #stored(id: string): { part: Part; message: ReferencedMessage } | null {
    const place = parseItemId(id);
    const message = place && this.#known.get(place.messageId);
    const part = message && itemParts(message.parts)[place.index];
    return part ? { part, message } : null;
  }
}

/** The call as the model made it, without a result. */
function unanswered(call: CallPart): ToolPart {
  const { toolCallId, input, callProviderMetadata } = call;
  const raw = "rawInput" in call ? call.rawInput : undefined;
  return {
    type: `tool-${getToolName(call)}`,
    toolCallId,
    state: "input-available",
    input: input ?? raw ?? {},
    ...(callProviderMetadata && { callProviderMetadata }),
  };
}

function isSame(stored: Part, sent: Part): boolean {
  if (isToolUIPart(stored) && isToolUIPart(sent))
    return stored.toolCallId === sent.toolCallId && argumentsOf(stored.input) === argumentsOf(sent.input);
  if (stored.type === "text") return sent.type === "text" && sent.text === stored.text;
  return stored.type === sent.type;
}

function modelOf(metadata: unknown): string | undefined {
  const { model } = (metadata ?? {}) as { model?: unknown };
  return typeof model === "string" ? model : undefined;
}

/** Invalid JSON goes back as the model wrote it. */
function parseArguments(json: string, field: string): unknown {
  if (json.trim() === "") return {};
  if (isTooDeep(json)) throw new AppError("bad_request", `${field}: is nested too deep`);
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}
