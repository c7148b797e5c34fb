import { useState } from "react";
import { openRequests } from "@/lib/turn/approval";
import type { ChatMessage } from "@/lib/turn/chunks";

export type Approval = { id: string; approved: boolean };

export type ConsentDecisions = {
  /** The decision so far; undefined before one was made. */
  decided: (approvalId: string) => boolean | undefined;
  decide: (approvalId: string, approved: boolean) => void;
};

/** Decisions on an answer's calls, sent together once every call has one. */
export function useConsent(
  { id, parts }: ChatMessage,
  onDecide: (messageId: string, approvals: Approval[]) => void,
): ConsentDecisions {
  const [decisions, setDecisions] = useState<Record<string, boolean>>({});
  return {
    decided: (approvalId) => decisions[approvalId],
    decide: (approvalId, approved) => {
      const all = { ...decisions, [approvalId]: approved };
      const approvals = openRequests(parts).flatMap(({ approvalId }) => {
        const decision = all[approvalId];
        return decision === undefined ? [] : [{ id: approvalId, approved: decision }];
      });
      const complete = approvals.length === openRequests(parts).length;
      // Once sent, the server owns them. If the request fails, the user is asked again.
      setDecisions(complete ? {} : all);
      if (complete) onDecide(id, approvals);
    },
  };
}
