import { expect, test } from "vitest";
import type { ChatMessage, MessageMetadata, TurnState } from "@/lib/turn/chunks";
import { canContinue, visibleMessages } from "./visible-messages";

const question: ChatMessage = { id: "question", role: "user", parts: [{ type: "text", text: "Where?" }] };

function answer(id: string, text: string, status?: Exclude<TurnState, "running">, continues?: string): ChatMessage {
  const metadata = { turnId: `turn of ${id}`, ...(status && { status }), ...(continues && { continues }) };
  const parts: ChatMessage["parts"] = text ? [{ type: "text", text }] : [];
  return { id, role: "assistant", parts, metadata: metadata as MessageMetadata };
}

const broken = answer("broken", "From the hills", "interrupted");
const texts = (messages: ChatMessage[]) =>
  messages.map(({ parts }) => parts.map((part) => (part.type === "text" ? part.text : "")).join(""));

test("an answer with text that ended early can be continued; a complete, running or empty one cannot", () => {
  expect(
    (["interrupted", "stopped", "failed"] as const).map((status) => canContinue(answer("a", "Text", status))),
  ).toEqual([true, true, true]);
  const cut = answer("a", "Text", "complete");
  expect(canContinue({ ...cut, metadata: { ...cut.metadata, finishReason: "length" } as MessageMetadata })).toBe(true);
  for (const other of [answer("a", "Text", "complete"), answer("a", "Text"), answer("a", "", "failed"), question])
    expect(canContinue(other)).toBe(false);
});

test("an answer that was asked to go on looks like one that is running, from then on", () => {
  const asked = visibleMessages([question, broken], [question, broken], broken.id);
  expect(texts(asked)).toEqual(["Where?", "From the hills"]);
  expect(asked[1]?.metadata).toMatchObject({ continues: broken.id });
  expect(asked[1]?.metadata?.status).toBeUndefined();
});

test("while the next answer replays the interrupted one, no word disappears or repeats", () => {
  const replay = ["", "From", "From the hills", "From the hills to the sea."];
  let shown = visibleMessages([question, broken], [question, broken], broken.id);
  const seen = replay.map((text) => {
    shown = visibleMessages([question, broken, answer("next", text, undefined, broken.id)], shown, broken.id);
    expect(shown.map(({ id }) => id)).toEqual(["question", "next"]);
    expect(shown[1]?.metadata).toMatchObject({ continues: broken.id });
    return texts(shown)[1];
  });
  expect(seen).toEqual(["From the hills", "From the hills", "From the hills", "From the hills to the sea."]);
});

test("joining a stream midway does not empty the text on the page", () => {
  const shown = [question, answer("a", "From the hills")];
  expect(texts(visibleMessages([question, answer("a", "")], shown, null))).toEqual(["Where?", "From the hills"]);
  const withTool = { ...answer("a", "From"), parts: [{ type: "step-start" as const }, ...answer("a", "From").parts] };
  expect(visibleMessages([question, answer("a", "From")], [question, withTool], null)[1]?.parts).toEqual(
    withTool.parts,
  );
});

test("another answer to the same question, and an ended one, are shown unchanged", () => {
  const shown = [question, broken];
  expect(texts(visibleMessages([question, answer("other", "")], shown, null))).toEqual(["Where?", ""]);
  const ended = answer("next", "From", "failed", broken.id);
  expect(visibleMessages([question, broken, ended], shown, null)).toEqual([question, ended]);
});
