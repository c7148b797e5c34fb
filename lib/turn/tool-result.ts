// Runs one call of a server tool: its result, or its failure as data. Pure except for the tool
// itself.
import type { ModelMessage, Tool } from "ai";
import type { ModelPart, ToolCall } from "./step-transcript";

/**
 * What the run must know about a tool besides how to call it. Tool families declare it
 * (lib/tools/tool-family.ts).
 */
export type ToolTraits = {
  /** Cannot be undone. Once untrusted text is in context, the user must consent to each call. */
  destructive?: boolean;
  /** Results hold text that neither the user nor this server wrote. */
  foreign?: boolean;
  /** One sentence for the consent request saying what this call would do; null for none. */
  describe?: (input: unknown) => Promise<string | null>;
};

export type TurnTool = Tool & ToolTraits;

type Call = Pick<ToolCall, "toolCallId" | "toolName" | "input" | "providerMetadata">;

/** Null for a tool the client runs: its call ends the turn. */
export async function runTool(
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

/**
 * The stored text of a tool failure: its own message. The SDK's messages for invalid calls would
 * repeat the whole call.
 */
export function toolFailureText(error: unknown): string {
  const text = String(error);
  if (text.startsWith("AI_NoSuchToolError")) return noSuchTool;
  if (text.startsWith("AI_InvalidToolInputError")) return invalidInput;
  return text;
}

export const noSuchTool = "There is no such tool.";
export const invalidInput = "The arguments do not fit this tool. It did nothing.";
