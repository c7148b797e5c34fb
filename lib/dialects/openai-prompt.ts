// From the messages of an OpenAI chat completion to the prompt of a turn (docs/protocol.md §6.6). Pure; throws AppError
// `bad_request` naming the field for what this server does not do.
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { isTooDeep, maxJsonDepth } from "@/lib/json-depth";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { TurnPrompt } from "@/lib/turn/turn-context";

const textContent = z.union(
  [z.string(), z.array(z.object({ type: z.enum(["text", "refusal"]), text: z.string() })).min(1)],
  { error: "must be a string or a list of text parts" },
);
const call = z.object({
  id: z.string().min(1),
  type: z.literal("function").default("function"),
  function: z.object({ name: z.string().min(1), arguments: z.string() }),
});

export const promptMessage = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer"]), content: textContent }),
  z.object({ role: z.literal("user"), content: textContent }),
  z.object({
    role: z.literal("assistant"),
    content: textContent.nullish(),
    /** Some models demand it back with the calls that it led to. */
    reasoning_content: z.string().nullish(),
    tool_calls: z.array(call).nullish(),
  }),
  z.object({ role: z.literal("tool"), tool_call_id: z.string(), content: textContent }),
]);

export const promptTool = z.object({
  type: z.literal("function"),
  function: z.object({
    name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).default({ type: "object", properties: {} }),
  }),
});

export type PromptMessage = z.output<typeof promptMessage>;

type ToolPart = Extract<ChatMessage["parts"][number], { type: `tool-${string}` }>;

/** System messages become the instructions; results of tools become part of the message that called them. */
export function promptOf(messages: PromptMessage[]): Pick<TurnPrompt, "messages" | "instructions"> {
  const instructions: string[] = [];
  const branch: TurnPrompt["messages"] = [];
  const calls = new Map<string, (output: string) => void>();
  messages.forEach((message, index) => {
    switch (message.role) {
      case "system":
      case "developer":
        instructions.push(plain(message.content));
        break;
      case "user":
        branch.push({ role: "user", parts: [{ type: "text", text: plain(message.content) }] });
        break;
      case "assistant": {
        const parts: ChatMessage["parts"] = [];
        if (message.reasoning_content) parts.push({ type: "reasoning", text: message.reasoning_content });
        const text = plain(message.content ?? "");
        if (text) parts.push({ type: "text", text });
        for (const { id, function: called } of message.tool_calls ?? []) {
          const input = parseArguments(called.arguments, `messages.${index}.tool_calls`);
          const at = parts.push({ type: `tool-${called.name}`, toolCallId: id, state: "input-available", input }) - 1;
          calls.set(id, (output) => {
            const done: ToolPart = {
              type: `tool-${called.name}`,
              toolCallId: id,
              state: "output-available",
              input,
              output,
            };
            parts[at] = done;
          });
        }
        branch.push({ role: "assistant", parts });
        break;
      }
      case "tool": {
        const answer = calls.get(message.tool_call_id);
        if (!answer)
          throw new AppError("bad_request", `messages.${index}.tool_call_id: no message before it made this call`);
        answer(plain(message.content));
        break;
      }
    }
  });
  if (!branch.some(({ role }) => role === "user"))
    throw new AppError("bad_request", "messages: must hold a user message");
  return { messages: branch, instructions: instructions.join("\n\n") };
}

/** The text of the last user message: what is new in a chat whose history the server has. */
export function lastQuestion(messages: PromptMessage[]): string {
  const last = messages.findLast(({ role }) => role === "user");
  const text = last?.content ? plain(last.content) : "";
  if (!text.trim()) throw new AppError("bad_request", "messages: must hold a user message with some text");
  return text;
}

function plain(content: z.output<typeof textContent>): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

function parseArguments(json: string, field: string): unknown {
  if (json.trim() === "") return {};
  if (isTooDeep(json))
    throw new AppError("bad_request", `${field}: arguments are nested deeper than ${maxJsonDepth} levels`);
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new AppError("bad_request", `${field}: arguments are not valid JSON`, { cause });
  }
}
