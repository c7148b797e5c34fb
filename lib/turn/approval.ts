// Consent to destructive calls (docs/protocol.md §8, decision 0030). A call of a tool whose effect cannot be undone is not
// run while untrusted text is in context: the turn ends with a request to the person, and the answer to it begins the next
// turn, which carries the call out or not. Pure: the tools come from the caller.
import { asSchema, type DynamicToolUIPart, getToolName, isToolUIPart, type ToolSet, type ToolUIPart } from "ai";
import type { ChatMessage, TurnChunk } from "./chunks";
import type { ModelPart, ToolCall } from "./said";
import { invalidInput, noSuchTool, resultOf, type TurnTool, toolFailureText } from "./tool-result";

/** Told to the model where the client has no way to ask, and closes the call. */
export const cannotAsk =
  "This call was not carried out, and nothing was changed. It cannot be undone, and text that others wrote is in this " +
  "conversation, so the user must consent to it, and this client cannot ask. Tell the user to ask for it on the chat page.";

/** Told to the model and shown in the card. */
export const declined = "The user declined this call. Nothing was changed.";

/** Whether the calls of a turn need consent, and the requests for it. */
export class Consent {
  #untrusted: boolean;
  #requests = 0;
  readonly #turnId: string;
  readonly #canAsk: boolean;

  /** `untrusted`: text that others wrote is in context when the turn begins to ask its model. */
  constructor({ turnId, canAsk, untrusted }: { turnId: string; canAsk: boolean; untrusted: boolean }) {
    this.#turnId = turnId;
    this.#canAsk = canAsk;
    this.#untrusted = untrusted;
  }

  /** A tool has answered: what it said may now steer the model. */
  answered(tool: TurnTool | undefined): void {
    if (tool?.foreign) this.#untrusted = true;
  }

  /** The chunk that asks the person, or the result that refuses the call; null when it may run. */
  async demand(call: ToolCall, tool: TurnTool | undefined): Promise<TurnChunk | ModelPart | null> {
    if (!tool?.execute || !tool.destructive || !this.#untrusted) return null;
    const { toolCallId, toolName, input } = call;
    if (!this.#canAsk) return { type: "tool-error", toolCallId, toolName, input, dynamic: true, error: cannotAsk };
    this.#requests += 1;
    const reason = await tool.describe?.(input).catch(() => null);
    return {
      type: "tool-approval-request",
      approvalId: `${this.#turnId}.${this.#requests}`,
      toolCallId,
      ...(reason && { reason }),
    };
  }
}

/** The turn that asks for an approval with this id. */
export function turnOfApproval(approvalId: string): string {
  return approvalId.slice(0, approvalId.lastIndexOf("."));
}

type ToolPart = ToolUIPart | DynamicToolUIPart;

function toolParts(parts: ChatMessage["parts"]): ToolPart[] {
  return parts.filter((part) => isToolUIPart(part)) as ToolPart[];
}

/** The requests of an answer that nobody has answered yet. */
export function openRequests(parts: ChatMessage["parts"]): { approvalId: string; toolCallId: string }[] {
  return toolParts(parts).flatMap(({ state, toolCallId, approval }) =>
    state === "approval-requested" && approval ? [{ approvalId: approval.id, toolCallId }] : [],
  );
}

/** Whether these messages hold text that neither the user nor this server wrote: passages, and what foreign tools answered. */
export function holdsUntrusted(messages: Pick<ChatMessage, "parts">[], tools: ToolSet = {}): boolean {
  return messages.some(({ parts }) =>
    parts.some((part) => {
      if (part.type === "source-document") return true;
      return (
        isToolUIPart(part) && part.output !== undefined && (tools[getToolName(part)] as TurnTool)?.foreign === true
      );
    }),
  );
}

/** Carries out what a person has allowed and closes what was declined, in the model's order. */
export async function* settle(
  parts: ChatMessage["parts"],
  tools: ToolSet = {},
  signal: AbortSignal,
): AsyncGenerator<TurnChunk> {
  for (const part of toolParts(parts)) {
    if (part.state !== "approval-responded") continue;
    const { toolCallId } = part;
    if (part.approval.approved) yield { toolCallId, ...(await outcomeOf(part, tools, signal)) };
    else yield { type: "tool-output-denied", toolCallId };
  }
}

type Outcome = { type: "tool-output-available"; output: unknown } | { type: "tool-output-error"; errorText: string };

async function outcomeOf(part: ToolPart, tools: ToolSet, signal: AbortSignal): Promise<Outcome> {
  const toolName = getToolName(part);
  const tool = tools[toolName];
  if (!tool) return { type: "tool-output-error", errorText: noSuchTool };
  // Stored by this server, but perhaps by an older version of it.
  const input = await asSchema(tool.inputSchema).validate?.(part.input);
  if (input && !input.success) return { type: "tool-output-error", errorText: invalidInput };
  const call = { toolCallId: part.toolCallId, toolName, input: input ? input.value : part.input };
  const result = await resultOf(call, tool, [], signal);
  if (result?.type === "tool-result") return { type: "tool-output-available", output: result.output };
  const error = result?.type === "tool-error" ? result.error : noSuchTool;
  return { type: "tool-output-error", errorText: toolFailureText(error) };
}
