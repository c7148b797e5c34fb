// Items of OpenAI's Responses API: what an answer consists of, and the ids clients use for answers
// and items (docs/protocol.md §6.7). An item id encodes its message and position, so the stored
// part can be found again.
import { getToolName, isToolUIPart } from "ai";
import { z } from "zod";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { UrlCitation } from "./openai-citations";

type Part = ChatMessage["parts"][number];

export type ItemStatus = "in_progress" | "completed" | "incomplete";

export type Annotation = { type: "url_citation" } & UrlCitation["url_citation"];

export type MessageItem = {
  id: string;
  type: "message";
  status: ItemStatus;
  role: "assistant";
  content: { type: "output_text"; annotations: Annotation[]; logprobs: never[]; text: string }[];
};
export type ReasoningItem = {
  id: string;
  type: "reasoning";
  summary: { type: "summary_text"; text: string }[];
  encrypted_content?: string;
};
export type FunctionCallItem = {
  id: string;
  type: "function_call";
  status: ItemStatus;
  arguments: string;
  call_id: string;
  name: string;
};
/** A call of a tool that ran on this server: clients display it and do not answer it. */
export type ServerCallItem = {
  id: string;
  type: "mcp_call";
  status: ItemStatus | "failed";
  approval_request_id: null;
  arguments: string;
  error: string | null;
  name: string;
  output: string | null;
  server_label: "rivulet";
};
export type OutputItem = MessageItem | ReasoningItem | FunctionCallItem | ServerCallItem;

const prefixes = { message: "msg", reasoning: "rs", function_call: "fc", mcp_call: "mcp" } as const;

export function itemId(type: OutputItem["type"], messageId: string, index: number): string {
  return `${prefixes[type]}_${messageId}_${index}`;
}

const itemPattern = /^(?:msg|rs|fc|mcp)_([\x21-\x7e]{1,128})_(\d{1,6})$/;

/** Null if this server did not issue the id. */
export function parseItemId(id: string): { messageId: string; index: number } | null {
  const [, messageId, index] = itemPattern.exec(id) ?? [];
  return messageId === undefined ? null : { messageId, index: Number(index) };
}

/** Parts that become items: the n-th item is the n-th of these. */
export function itemParts(parts: ChatMessage["parts"]): Part[] {
  return parts.filter((part) => part.type === "text" || part.type === "reasoning" || isToolUIPart(part));
}

const uuid = z.uuid();

export function responseId(turnId: string): string {
  return `resp_${turnId}`;
}

/** The turn of a response id; null if this server did not issue it. */
export function turnOfResponse(id: string): string | null {
  const turnId = id.startsWith("resp_") ? id.slice(5) : "";
  return uuid.safeParse(turnId).success ? turnId : null;
}

/** A call's arguments as JSON text; invalid JSON from the model stays as is. */
export function argumentsOf(input: unknown): string {
  return typeof input === "string" ? input : (JSON.stringify(input) ?? "");
}

export function outputText(output: unknown): string {
  return typeof output === "string" ? output : (JSON.stringify(output) ?? "");
}

/** A conversation message as input items, as listed by `input_items`. */
export function inputItemsOf(message: Pick<ChatMessage, "id" | "role" | "parts">): object[] {
  if (message.role === "user") {
    const content = message.parts.flatMap((part): object[] => {
      if (part.type === "text") return [{ type: "input_text", text: part.text }];
      if (part.type !== "file") return [];
      if (part.mediaType.startsWith("image")) return [{ type: "input_image", image_url: part.url, detail: "auto" }];
      return [{ type: "input_file", file_data: part.url, filename: part.filename ?? null }];
    });
    return [{ id: itemId("message", message.id, 0), type: "message", status: "completed", role: "user", content }];
  }
  return itemParts(message.parts).flatMap((part, index): object[] => {
    if (part.type === "text") {
      const content = [{ type: "output_text", annotations: [], logprobs: [], text: part.text }];
      const id = itemId("message", message.id, index);
      return [{ id, type: "message", status: "completed", role: "assistant", content }];
    }
    if (part.type === "reasoning") {
      const summary = part.text ? [{ type: "summary_text", text: part.text }] : [];
      return [{ id: itemId("reasoning", message.id, index), type: "reasoning", summary }];
    }
    if (!isToolUIPart(part)) return [];
    const id = itemId("function_call", message.id, index);
    const call = { type: "function_call", status: "completed", call_id: part.toolCallId, name: getToolName(part) };
    const output = part.state === "output-available" ? outputText(part.output) : part.errorText;
    return [
      { id, ...call, arguments: argumentsOf(part.input) },
      ...(output === undefined
        ? []
        : [
            { id: `${id}_output`, type: "function_call_output", status: "completed", call_id: part.toolCallId, output },
          ]),
    ];
  });
}
