// What a tool of ours answers to one call: a result, or its failure as data. Pure but for the tool itself.
import type { ModelMessage, Tool } from "ai";
import type { ModelPart, ToolCall } from "./said";

/** What the run must know of a tool besides how to call it. A family declares it (lib/tools/contract.ts). */
export type ToolTraits = {
  /** Its effect cannot be undone. Once untrusted text is in context, a person must consent to each call. */
  destructive?: boolean;
  /** Its results hold text that others than the user and this server wrote. */
  foreign?: boolean;
  /** What this call would do, in one sentence for the person who is asked; null when there is nothing to say. */
  describe?: (input: unknown) => Promise<string | null>;
};

export type TurnTool = Tool & ToolTraits;

type Call = Pick<ToolCall, "toolCallId" | "toolName" | "input" | "providerMetadata">;

/** Null for a tool that the client runs: its call ends the turn. */
export async function resultOf(
  { toolCallId, toolName, input, providerMetadata }: Call,
  tool: Tool | undefined,
  messages: ModelMessage[],
  abortSignal: AbortSignal,
): Promise<ModelPart | null> {
  if (!tool?.execute) return null;
  const call = { toolCallId, toolName, input, dynamic: true as const, ...(providerMetadata && { providerMetadata }) };
  try {
    const output = await tool.execute(input, { toolCallId, messages, abortSignal, context: undefined });
    return { type: "tool-result", ...call, output };
  } catch (error) {
    return { type: "tool-error", ...call, error };
  }
}

/** What is kept of a tool's failure: its own sentence. The SDK's words for a wrong call repeat the whole of it. */
export function toolFailureText(error: unknown): string {
  const text = String(error);
  if (text.startsWith("AI_NoSuchToolError")) return noSuchTool;
  if (text.startsWith("AI_InvalidToolInputError")) return invalidInput;
  return text;
}

export const noSuchTool = "There is no such tool.";
export const invalidInput = "The arguments do not fit this tool. It did nothing.";
