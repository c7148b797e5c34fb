// Converts the messages of an OpenAI chat completion into a turn's prompt (docs/protocol.md §6.6).
// Pure; throws AppError `bad_request` naming any field this server does not support.
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { isTooDeep, maxJsonDepth } from "@/lib/json-depth";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { TurnPrompt } from "@/lib/turn/turn-input";

const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });
const refusalPart = z.strictObject({ type: z.literal("refusal"), refusal: z.string() });
const textContent = z.union([z.string(), z.array(textPart).min(1)], {
  error: "must be a string or a list of text parts",
});
const answerContent = z.union([z.string(), z.array(z.union([textPart, refusalPart]))], {
  error: "must be a string or a list of text parts",
});

const dataUrl = /^data:([a-z]+\/[a-z0-9.+-]+);base64,/i;
export const imageUrl = z.string().refine((url) => /^https?:\/\//i.test(url) || dataUrl.test(url), {
  error: "must be an http address or a data URL in base64",
});
export const pdfData = z.string().regex(/^data:application\/pdf;base64,/, "must be a PDF as a data URL in base64");
const userPart = z.discriminatedUnion(
  "type",
  [
    textPart,
    z.strictObject({
      type: z.literal("image_url"),
      image_url: z.strictObject({ url: imageUrl, detail: z.enum(["auto", "low", "high", "original"]).nullish() }),
    }),
    z.strictObject({
      type: z.literal("input_audio"),
      input_audio: z.strictObject({
        data: z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/, "must be base64"),
        format: z.enum(["wav", "mp3"]),
      }),
    }),
    z.strictObject({
      type: z.literal("file"),
      file: z.strictObject({
        file_data: pdfData,
        filename: z.string().max(255).optional(),
      }),
    }),
  ],
  { error: "must be a part of type text, image_url, input_audio or file" },
);
const userContent = z.union([z.string(), z.array(userPart).min(1)]);

const called = z.looseObject({ name: z.string().min(1), arguments: z.string() });
const call = z.looseObject({
  id: z.string().min(1),
  type: z.literal("function").default("function"),
  function: called,
});
/** Speaker name in a group conversation. */
const name = z.string().max(256).nullish();

export const promptMessage = z.discriminatedUnion("role", [
  z.strictObject({ role: z.enum(["system", "developer"]), content: textContent }),
  z.strictObject({ role: z.literal("user"), content: userContent, name }),
  z.strictObject({
    role: z.literal("assistant"),
    content: answerContent.nullish(),
    name,
    refusal: z.string().nullish(),
    /** Some models require it back together with the calls it led to. */
    reasoning_content: z.string().nullish(),
    tool_calls: z.array(call).nullish(),
    function_call: called.nullish(),
    // Fields of an answer that clients echo, and additions by the `openai` client.
    annotations: z.array(z.unknown()).nullish(),
    audio: z.null().optional(),
    parsed: z.unknown().optional(),
  }),
  z.strictObject({ role: z.literal("tool"), tool_call_id: z.string(), content: textContent, name }),
  z.strictObject({ role: z.literal("function"), name: z.string(), content: textContent.nullable() }),
]);

export const promptTool = z.strictObject({
  type: z.literal("function"),
  function: z.strictObject({
    name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).default({ type: "object", properties: {} }),
    strict: z.boolean().nullish(),
  }),
});

export type PromptMessage = z.output<typeof promptMessage>;

type Part = ChatMessage["parts"][number];
type ToolPart = Extract<Part, { type: `tool-${string}` }>;

/**
 * Converts the conversation: leading instructions become the turn's, later ones keep their place,
 * and tool results join the message that made the call.
 */
export function promptOf(messages: PromptMessage[]): Pick<TurnPrompt, "messages" | "instructions" | "notes"> {
  const instructions: string[] = [];
  const notes: { at: number; text: string }[] = [];
  const branch: TurnPrompt["messages"] = [];
  const open = new Map<string, { name: string; index: number; answer: (output: string) => void }>();
  messages.forEach((message, index) => {
    switch (message.role) {
      case "system":
      case "developer":
        if (branch.length === 0) instructions.push(plain(message.content));
        else notes.push({ at: branch.length, text: plain(message.content) });
        break;
      case "user":
        branch.push({ role: "user", parts: userParts(message) });
        break;
      case "assistant": {
        const parts = answerParts(message);
        const calls = (message.tool_calls ?? []).map(({ id, function: each }) => ({ id, ...each }));
        // Legacy function calls have no id.
        if (message.function_call) calls.push({ id: `call_${index}`, ...message.function_call });
        for (const { id, name, arguments: json } of calls) {
          const input = parseArguments(json, `messages.${index}.tool_calls`);
          const asked = { type: `tool-${name}` as const, toolCallId: id, input };
          const at = parts.push({ ...asked, state: "input-available" }) - 1;
          open.set(id, {
            name,
            index,
            answer: (output) => {
              parts[at] = { ...asked, state: "output-available", output } as ToolPart;
            },
          });
        }
        branch.push({ role: "assistant", parts });
        break;
      }
      case "tool":
      case "function": {
        const id =
          message.role === "tool"
            ? message.tool_call_id
            : [...open].find(([, each]) => each.name === message.name)?.[0];
        const questionIndex = id === undefined ? undefined : open.get(id);
        const field = message.role === "tool" ? "tool_call_id" : "name";
        if (id === undefined || !questionIndex)
          throw new AppError("bad_request", `messages.${index}.${field}: no message before it made this call`);
        questionIndex.answer(plain(message.content ?? ""));
        open.delete(id);
        break;
      }
    }
  });
  for (const [id, { index }] of open)
    throw new AppError("bad_request", `messages.${index}.tool_calls: no message answers the call ${id.slice(0, 100)}`);
  if (!branch.some(({ role }) => role === "user"))
    throw new AppError("bad_request", "messages: must hold a user message");
  return {
    messages: branch,
    instructions: instructions.join("\n\n"),
    ...(notes.length > 0 && { notes: notes.map(({ at, text }) => ({ behind: branch.length - at, text })) }),
  };
}

/** Text of the last user message: all that is new if the server holds the chat's history. */
export function lastQuestion(messages: PromptMessage[]): string {
  const index = messages.findLastIndex(({ role }) => role === "user");
  const last = messages[index];
  const parts = last?.role === "user" ? userParts(last) : [];
  if (parts.some(({ type }) => type !== "text"))
    throw new AppError(
      "bad_request",
      `messages.${index}.content: a chat takes text. Leave metadata.chat_id away to send files.`,
    );
  const text = last?.role === "user" ? textOfUser(last) : "";
  if (!text.trim()) throw new AppError("bad_request", "messages: must hold a user message with some text");
  return text;
}

function textOfUser(message: Extract<PromptMessage, { role: "user" }>): string {
  return userParts(message)
    .flatMap((part) => (part.type === "text" ? [part.text] : []))
    .join("\n");
}

/** The text messages before it. */
export function beforeQuestion(messages: PromptMessage[]): TurnPrompt["messages"] {
  const question = messages.findLastIndex(({ role }) => role === "user");
  return messages.slice(0, question).flatMap((message): TurnPrompt["messages"] => {
    if (message.role === "user") return [{ role: "user", parts: [{ type: "text", text: textOfUser(message) }] }];
    if (message.role !== "assistant" || !message.content) return [];
    const { content } = message;
    const messages =
      typeof content === "string"
        ? [content]
        : content.map((part) => (part.type === "text" ? part.text : part.refusal));
    return [{ role: "assistant", parts: [{ type: "text", text: messages.join("\n") }] }];
  });
}

/** Some servers support speaker names. The adapter copies these options into the message. */
function withSpeakerName(name: string | null | undefined): Pick<Extract<Part, { type: "text" }>, "providerMetadata"> {
  return name ? { providerMetadata: { openaiCompatible: { name } } } : {};
}

function userParts({ content, name }: Extract<PromptMessage, { role: "user" }>): Part[] {
  const parts = typeof content === "string" ? [{ type: "text" as const, text: content }] : content;
  return parts.map((part) => messagePart(part, name));
}

export function messagePart(part: z.output<typeof userPart>, name?: string | null): Part {
  switch (part.type) {
    case "text":
      return { ...part, ...withSpeakerName(name) };
    case "image_url": {
      const { url, detail } = part.image_url;
      const mediaType = dataUrl.exec(url)?.[1] ?? "image/*";
      const options = detail && { openai: { imageDetail: detail }, openaiCompatible: { rivulet_detail: detail } };
      return { type: "file", mediaType, url, ...(options && { providerMetadata: options }) };
    }
    case "input_audio": {
      const mediaType = part.input_audio.format === "wav" ? "audio/wav" : "audio/mpeg";
      return { type: "file", mediaType, url: `data:${mediaType};base64,${part.input_audio.data}` };
    }
    case "file": {
      const { file_data: url, filename } = part.file;
      return { type: "file", mediaType: "application/pdf", url, ...(filename && { filename }) };
    }
  }
}

function answerParts(message: Extract<PromptMessage, { role: "assistant" }>): ChatMessage["parts"] {
  const { content, refusal, reasoning_content: reasoning } = message;
  const text =
    typeof content === "string"
      ? [content]
      : (content ?? []).map((part) => ("text" in part ? part.text : part.refusal));
  if (refusal) text.push(refusal);
  return [
    ...(reasoning ? [{ type: "reasoning" as const, text: reasoning }] : []),
    ...text.filter(Boolean).map((text) => ({ type: "text" as const, text, ...withSpeakerName(message.name) })),
  ];
}

function plain(content: z.output<typeof textContent>): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

/** Invalid JSON stays as is, for the client and its model to sort out. */
function parseArguments(json: string, field: string): unknown {
  if (json.trim() === "") return {};
  if (isTooDeep(json))
    throw new AppError("bad_request", `${field}: arguments are nested deeper than ${maxJsonDepth} levels`);
  try {
    const input: unknown = JSON.parse(json);
    return typeof input === "object" && input !== null ? input : json;
  } catch {
    return json;
  }
}
