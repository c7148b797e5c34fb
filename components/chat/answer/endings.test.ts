import type { FinishReason } from "ai";
import { describe, expect, it, test } from "vitest";
import { canContinue } from "@/components/chat/conversation/visible-messages";
import type { ChatMessage, FinalState, MessageMetadata } from "@/lib/turn/chunks";
import { isCutOff } from "@/lib/turn/cut-off";
import { unfinishedTool } from "@/lib/turn/ending";
import { byFinishReason, endingOf } from "./endings";

type Part = ChatMessage["parts"][number];

const text: Part = { type: "text", text: "From the hills" };
const call = { type: "tool-add_task", toolCallId: "c", input: {} } as const;
const done: Part = { ...call, state: "output-available", output: {} };
const asking: Part = { ...call, state: "approval-requested", approval: { id: "a" } };
const clients: Part = { ...call, state: "output-error", errorText: unfinishedTool };

function answer(parts: Part[], finishReason?: FinishReason, status: FinalState = "complete"): ChatMessage {
  return { id: "a", role: "assistant", parts, metadata: { status, finishReason } as MessageMetadata };
}

/** Every finish reason of the AI SDK; a missing one is a compile error. */
const treatments: Record<FinishReason, { note: string | undefined; continues: boolean }> = {
  stop: { note: undefined, continues: false },
  length: { note: "The answer reached its length limit.", continues: true },
  "content-filter": { note: "The provider’s content filter ended this answer.", continues: false },
  "tool-calls": { note: undefined, continues: false },
  other: { note: "The provider did not say why the answer ends here.", continues: true },
  error: { note: undefined, continues: false },
  interrupted: { note: undefined, continues: false },
};

test("handles exactly the known finish reasons", () => {
  expect(Object.keys(byFinishReason).sort()).toEqual(Object.keys(treatments).sort());
});

describe.each(Object.entries(treatments))("a complete answer with %s", (reason, { note, continues }) => {
  it("says under the answer whether and why it was cut off", () => {
    expect(endingOf(answer([text], reason as FinishReason))?.note?.says).toBe(note);
  });

  it("offers Continue only where it helps", () => {
    expect(canContinue(answer([text], reason as FinishReason))).toBe(continues);
  });
});

test.each<[string, Part[], string | undefined, boolean]>([
  ["has run its tools and has no steps left", [text, done], "The answer reached its limit of tool calls.", true],
  ["waits for approval", [text, done, asking], undefined, false],
  ["leaves its calls to the client", [text, done, clients], undefined, false],
])("an answer that %s", (_, parts, note, continues) => {
  const message = answer(parts, "tool-calls");
  expect([endingOf(message)?.note?.says, canContinue(message)]).toEqual([note, continues]);
});

test("an answer whose tokens all went into reasoning has nothing to continue", () => {
  const message = answer([{ type: "reasoning", text: "Hm." }], "length");
  expect([endingOf(message)?.note?.word, canContinue(message)]).toEqual(["Cut off", false]);
});

test.each<[FinalState, string]>([
  ["stopped", "Answer stopped."],
  ["interrupted", "Answer interrupted."],
  ["failed", "Answer failed."],
])("an answer that is %s says so, whatever its finish reason", (status, announced) => {
  for (const reason of Object.keys(treatments) as FinishReason[])
    expect(endingOf(answer([text], reason, status))?.announced).toBe(announced);
});

test("a running answer, or one with no known finish reason, shows no ending", () => {
  expect(endingOf({ ...answer([text]), metadata: undefined })).toBeNull();
  expect(endingOf(answer([text]))?.note).toBeUndefined();
  const unknown = answer([text], "unknown" as FinishReason);
  expect([endingOf(unknown)?.note, isCutOff(unknown)]).toEqual([undefined, false]);
});
