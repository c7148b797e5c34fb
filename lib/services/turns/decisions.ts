// Parses a user's decisions on consent requests, and results of a client's own tools
// (docs/protocol.md §5 and §8).
import { isToolUIPart } from "ai";
import { z } from "zod";
import { AppError } from "@/lib/errors";
import { turnOfApproval } from "@/lib/turn/approval";
import type { ChatMessage } from "@/lib/turn/chunks";
import type { CallResult, Decision, Results } from "@/lib/turn/turn-input";
import { clientId } from "@/lib/turn/turn-options";

export const decision = z
  .object({
    id: z
      .string()
      .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\.\d{1,4}$/, "is not the id of a request")
      .describe("`approvalId` of a `tool-approval-request`."),
    approved: z.boolean(),
  })
  .meta({ id: "Approval" });

/** No step needs more calls decided one by one. */
export const maxDecisions = 100;

/** The turn that asked. Throws bad_request if the decisions belong to several. */
export function turnOfDecisions(decisions: Decision[]): string {
  const [turnId, ...others] = new Set(decisions.map(({ id }) => turnOfApproval(id)));
  if (!turnId || others.length > 0) throw new AppError("bad_request", "approvals: must be those of one answer.");
  return turnId;
}

/** One key per request, so it is decided once: the first decision wins. */
export function decisionKey(decisions: Decision[]): string {
  return `approve:${turnOfDecisions(decisions)}`;
}

const toolPart = z.object({
  state: z.literal("approval-responded"),
  approval: z.object({ id: decision.shape.id, approved: z.boolean() }),
});
const answer = z.object({ role: z.literal("assistant"), parts: z.array(z.unknown()) });

/**
 * Decisions from a stock client, which resends the answer with `approval-responded` in its call
 * parts. Null if the message is no such answer. Nothing else in it is read.
 */
export function decisionsIn(message: unknown): Decision[] | null {
  const read = answer.safeParse(message);
  if (!read.success) return null;
  const decisions = read.data.parts.flatMap((part) => {
    const responded = toolPart.safeParse(part);
    return responded.success && isToolUIPart(part as ChatMessage["parts"][number]) ? [responded.data.approval] : [];
  });
  return decisions.length > 0 && decisions.length <= maxDecisions ? decisions : null;
}

const resultPart = z
  .object({ toolCallId: z.string(), providerExecuted: z.literal(false).optional() })
  .and(
    z.discriminatedUnion("state", [
      z.object({ state: z.literal("output-available"), output: z.unknown(), preliminary: z.literal(false).optional() }),
      z.object({ state: z.literal("output-error"), errorText: z.string() }),
    ]),
  );
const answered = answer.extend({ id: clientId });

/**
 * The client's tool results for this answer's calls; null if the message is no answer or has none.
 */
export function resultsIn(message: unknown): Results | null {
  const read = answered.safeParse(message);
  if (!read.success) return null;
  // Results of earlier steps were handled with those steps.
  const lastStep = read.data.parts.findLastIndex((part) => (part as { type?: unknown } | null)?.type === "step-start");
  const results = read.data.parts.slice(lastStep + 1).flatMap((part): CallResult[] => {
    const result = resultPart.safeParse(part);
    if (!result.success || !isToolUIPart(part as ChatMessage["parts"][number])) return [];
    const { toolCallId } = result.data;
    if (result.data.state === "output-error") return [{ toolCallId, errorText: result.data.errorText }];
    return [{ toolCallId, output: result.data.output ?? null }];
  });
  return results.length > 0 ? { messageId: read.data.id, results } : null;
}
