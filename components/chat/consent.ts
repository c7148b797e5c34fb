import { useState } from "react";
import { openRequests } from "@/lib/turn/approval";
import type { ChatMessage } from "@/lib/turn/chunks";

export type Approval = { id: string; approved: boolean };

export type Consent = {
  /** What was decided so far; undefined while nothing was. */
  decided: (approvalId: string) => boolean | undefined;
  decide: (approvalId: string, approved: boolean) => void;
};

/** The decisions about an answer's calls. They are sent together, once there is one for each. */
export function useConsent(
  { id, parts }: ChatMessage,
  onDecide: (messageId: string, approvals: Approval[]) => void,
): Consent {
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
      // Once sent they are the server's. Should the request fail, all is asked again.
      setDecisions(complete ? {} : all);
      if (complete) onDecide(id, approvals);
    },
  };
}
