// Consent to destructive calls (docs/protocol.md §8, decision 0030). While untrusted text is in
// context, a call that cannot be undone does not run: the turn ends with an approval request, and
// the user's decision starts the next turn, which executes the call or declines it. Pure: the
// caller supplies the tools.
import { asSchema, type DynamicToolUIPart, getToolName, isToolUIPart, type ToolSet, type ToolUIPart } from "ai";
import type { ChatMessage, TurnChunk } from "./chunks";
import type { ModelPart, ToolCall } from "./step-transcript";
import { invalidInput, noSuchTool, runTool, type TurnTool, toolFailureText } from "./tool-result";

/** Tool error sent to the model when the client cannot ask; it closes the call. */
export const cannotAskText =
  "This call was not carried out, and nothing was changed. It cannot be undone, and text that others wrote is in this " +
  "conversation, so the user must consent to it, and this client cannot ask. Tell the user to ask for it on the chat page.";

/** Sent to the model and shown in the tool card. */
export const declinedText = "The user declined this call. Nothing was changed.";

/** Decides whether a turn's calls need consent and builds the requests. */
export class Consent {
  #untrusted: boolean;
  #requests = 0;
  readonly #turnId: string;
  readonly #canAsk: boolean;

  /** `untrusted`: text by third parties is in context before the first model call. */
  constructor({ turnId, canAsk, untrusted }: { turnId: string; canAsk: boolean; untrusted: boolean }) {
    this.#turnId = turnId;
    this.#canAsk = canAsk;
    this.#untrusted = untrusted;
  }

  /** Call after each tool result: foreign output may now steer the model. */
  recordResult(tool: TurnTool | undefined): void {
    if (tool?.foreign) this.#untrusted = true;
  }

  /**
   * Returns the approval request, or the error that refuses the call; null when the call may run.
   */
  async review(call: ToolCall, tool: TurnTool | undefined): Promise<TurnChunk | ModelPart | null> {
    if (!tool?.execute || !tool.destructive || !this.#untrusted) return null;
    const { toolCallId, toolName, input } = call;
    if (!this.#canAsk) return { type: "tool-error", toolCallId, toolName, input, dynamic: true, error: cannotAskText };
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

/** The id of the turn that issued this approval request. */
export function turnOfApproval(approvalId: string): string {
  return approvalId.slice(0, approvalId.lastIndexOf("."));
}

type ToolPart = ToolUIPart | DynamicToolUIPart;

function toolParts(parts: ChatMessage["parts"]): ToolPart[] {
  return parts.filter((part) => isToolUIPart(part)) as ToolPart[];
}

/** Approval requests in an answer that are still undecided. */
export function openRequests(parts: ChatMessage["parts"]): { approvalId: string; toolCallId: string }[] {
  return toolParts(parts).flatMap(({ state, toolCallId, approval }) =>
    state === "approval-requested" && approval ? [{ approvalId: approval.id, toolCallId }] : [],
  );
}

/**
 * True if the messages hold text that neither the user nor this server wrote: passages and results
 * of foreign tools.
 */
export function hasUntrustedText(messages: Pick<ChatMessage, "parts">[], tools: ToolSet = {}): boolean {
  return messages.some(({ parts }) =>
    parts.some((part) => {
      if (part.type === "source-document") return true;
      return (
        isToolUIPart(part) && part.output !== undefined && (tools[getToolName(part)] as TurnTool)?.foreign === true
      );
    }),
  );
}

/** Executes approved calls and closes declined ones, in the model's order. */
export async function* resolveApprovals(
  parts: ChatMessage["parts"],
  tools: ToolSet = {},
  signal: AbortSignal,
): AsyncGenerator<TurnChunk> {
  for (const part of toolParts(parts)) {
    if (part.state !== "approval-responded") continue;
    const { toolCallId } = part;
    if (part.approval.approved) yield { toolCallId, ...(await executeApproved(part, tools, signal)) };
    else yield { type: "tool-output-denied", toolCallId };
  }
}

type Outcome = { type: "tool-output-available"; output: unknown } | { type: "tool-output-error"; errorText: string };

async function executeApproved(part: ToolPart, tools: ToolSet, signal: AbortSignal): Promise<Outcome> {
  const toolName = getToolName(part);
  const tool = tools[toolName];
  if (!tool) return { type: "tool-output-error", errorText: noSuchTool };
  // An older version of this server may have stored this input, so validate it again.
  const input = await asSchema(tool.inputSchema).validate?.(part.input);
  if (input && !input.success) return { type: "tool-output-error", errorText: invalidInput };
  const call = { toolCallId: part.toolCallId, toolName, input: input ? input.value : part.input };
  const result = await runTool(call, tool, [], signal);
  if (result?.type === "tool-result") return { type: "tool-output-available", output: result.output };
  const error = result?.type === "tool-error" ? result.error : noSuchTool;
  return { type: "tool-output-error", errorText: toolFailureText(error) };
}
