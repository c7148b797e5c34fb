import { expect, it } from "vitest";
import type { ChatMessage, MessageMetadata } from "@/lib/turn/chunks";
import { memoryBegin } from "./memory-line";

const question = (id: string): ChatMessage => ({ id, role: "user", parts: [] });
const answer = (id: string, metadata: Partial<MessageMetadata>): ChatMessage => ({
  id,
  role: "assistant",
  parts: [],
  metadata: metadata as MessageMetadata,
});

it("memory begins where that of the latest ended answer does", () => {
  const first = answer("a1", { status: "complete", memory: { firstMessageId: "q0" } });
  const second = answer("a2", { status: "stopped", memory: { firstMessageId: "q1" } });
  const running = answer("a3", {});
  expect(memoryBegin([question("q1"), first, question("q2"), second, question("q3"), running])).toBe("q1");
});

it("shows no line when the latest answer was written with the whole chat", () => {
  const cut = answer("a1", { status: "complete", memory: { firstMessageId: "q0" } });
  const whole = answer("a2", { status: "complete", memory: { shortenedToolResults: 1 } });
  expect(memoryBegin([question("q1"), cut, question("q2"), whole])).toBeUndefined();
  expect(memoryBegin([question("q1")])).toBeUndefined();
});
