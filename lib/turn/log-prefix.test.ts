import { describe, expect, it } from "vitest";
import { richTurn } from "@/test/turn/rich-turn";
import { ChunkState } from "./chunk-state";
import { type ChatMessage, isTerminal, type StatusData, sourceChunk, type TurnChunk } from "./chunks";
import { endTurn, interruptedError, unfinishedTool } from "./ending";
import { foldChunks } from "./fold";
import { concatText, isAnswerContent, isUnanswered, keptChunks, opening, openTextOf, PrefixJoiner } from "./log-prefix";
import { generateStatus, isWaiting } from "./model-status";

const turnId = "01940000-0000-7000-8000-000000000001";
const head = opening({
  turnId,
  chatId: "chat-0001",
  messageId: "message-1",
  userMessageId: "question-1",
  modelId: "scripted",
  createdAt: "2026-01-02T03:04:05.678Z",
});
const status = (stage: StatusData["stage"], state: StatusData["state"], detail?: string): TurnChunk => ({
  type: "data-status",
  id: stage,
  data: { stage, label: "…", state, ...(detail ? { detail } : {}) },
});
const source = sourceChunk({
  sourceId: "p1",
  mediaType: "text/plain",
  title: "Rivers",
  filename: "rivers.txt",
  ordinal: 1,
  score: 1,
  text: "A rivulet is a very small river.",
  documentId: "d1",
  chunkId: "p1",
  metadata: {},
});
const searched = [status("retrieve", "active"), source, status("retrieve", "done", "1 source from 1 document")];
const generating = [...searched, status("generate", "active")];
const text = (...deltas: string[]): TurnChunk[] => [
  { type: "text-start", id: "t" },
  ...deltas.map((delta): TurnChunk => ({ type: "text-delta", id: "t", delta })),
];
const call: TurnChunk = { type: "tool-input-available", toolCallId: "c", toolName: "clock", input: {} };
const result: TurnChunk = { type: "tool-output-available", toolCallId: "c", output: "12:00" };

/** The parts of an interrupted answer with these chunks. */
async function partsOf(chunks: TurnChunk[]): Promise<ChatMessage["parts"]> {
  const ending = endTurn(new ChunkState(chunks), { turnId, status: "interrupted", error: interruptedError });
  return (await foldChunks([...head, ...chunks, ...ending])).parts;
}

const typesOf = (chunks: TurnChunk[]) => chunks.map(({ type }) => type);

describe("an unanswered turn", () => {
  it.each<[string, TurnChunk[]]>([
    ["nothing", []],
    ["its start", head.slice(0, 1)],
    ["its opening", head],
    ["a running search", [...head, status("retrieve", "active")]],
    [
      "a search that found nothing",
      [...head, status("retrieve", "active"), status("retrieve", "done", "Nothing found")],
    ],
    ["all its sources", [...head, ...searched]],
    ["a request to the model", [...head, ...generating]],
    ["the start of a text part", [...head, ...generating, { type: "start-step" }, { type: "text-start", id: "t" }]],
  ])("may contain %s", (_, chunks) => {
    expect(isUnanswered(chunks)).toBe(true);
  });

  it.each<[string, TurnChunk[]]>([
    ["some of its sources", searched.slice(0, 2)],
    ["text", [...generating, { type: "start-step" }, ...text("x")]],
    ["reasoning", [...generating, { type: "start-step" }, { type: "reasoning-start", id: "r" }]],
    ["a call", [{ type: "tool-input-start", toolCallId: "c", toolName: "clock" }]],
    ["a whole step", [{ type: "start-step" }, { type: "finish-step" }]],
  ])("does not contain %s", (_, chunks) => {
    expect(isUnanswered([...head, ...chunks])).toBe(false);
  });
});

describe("the kept part of an answer", () => {
  it("is all its text, with the last text part open", async () => {
    const said = [...generating, { type: "start-step" } as const, ...text("Half an ans")];
    const kept = keptChunks(await partsOf(said));
    expect(typesOf(kept)).toEqual([
      "data-status",
      "source-document",
      "data-status",
      "start-step",
      "text-start",
      "text-delta",
    ]);
    const { statuses, stepOpen, sources } = new ChunkState(kept);
    expect(statuses.get("retrieve")?.state).toBe("done");
    expect(statuses.has("generate")).toBe(true);
    expect(stepOpen).toBe(true);
    expect(kept.some(isAnswerContent)).toBe(true);
    expect(concatText(kept)).toBe("Half an ans");
    const openText = openTextOf(kept);
    expect(openText?.text).toBe("Half an ans");
    expect(openTextOf([...kept, { type: "text-end", id: openText?.id ?? "" }])).toBeNull();
    expect(sources).toMatchObject([{ ordinal: 1, title: "Rivers" }]);
    expect(kept.find((chunk) => chunk.type === "data-status" && chunk.data.stage === "generate")).toMatchObject({
      data: { state: "active" },
    });
  });

  it("has the last text part open even before a provider's state", async () => {
    const state: TurnChunk[] = [
      { type: "text-end", id: "t" },
      { type: "reasoning-start", id: "s", providerMetadata: { rivulet: { field: "reasoning" } } },
      { type: "reasoning-end", id: "s" },
    ];
    const kept = keptChunks(await partsOf([{ type: "start-step" }, ...text("Half an ans"), ...state]));
    expect(typesOf(kept)).toEqual(["start-step", "text-start", "text-delta"]);
  });

  it("continues with the default status, whatever the model was doing at the cut", async () => {
    const waiting = generateStatus("active", "thinking", 4_000);
    const kept = keptChunks(await partsOf([...generating, waiting, { type: "start-step" }, ...text("Half")]));
    expect(kept).toContainEqual(generateStatus("active"));
    const isWaitingAfter = (chunks: TurnChunk[]) =>
      isWaiting(new ChunkState(chunks).statuses.get("generate") as StatusData);
    expect(isWaitingAfter(kept)).toBe(false);
    expect(isWaitingAfter([...generating, waiting])).toBe(true);
  });

  it("drops a call without a result", async () => {
    const parts = await partsOf([{ type: "start-step" }, ...text("Let me see."), { type: "text-end", id: "t" }, call]);
    expect(parts.map(({ type }) => type)).toContain("tool-clock");
    expect(typesOf(keptChunks(parts))).toEqual(["start-step", "text-start", "text-delta"]);
  });

  it("closes the step after a tool result: the next chunk starts a new one", async () => {
    const kept = keptChunks(await partsOf([{ type: "start-step" }, call, result]));
    expect(typesOf(kept)).toEqual(["start-step", "tool-input-available", "tool-output-available", "finish-step"]);
  });

  it("is the search result when no text was sent", async () => {
    expect(typesOf(keptChunks(await partsOf(generating)))).toEqual(["data-status", "source-document"]);
    expect(keptChunks(await partsOf([...generating, { type: "start-step" }, ...text()])).length).toBe(2);
  });

  it("is empty when the search did not finish", async () => {
    expect(keptChunks(await partsOf([]))).toEqual([]);
    expect(keptChunks(await partsOf(searched.slice(0, 1)))).toEqual([]);
    expect(keptChunks(await partsOf(searched.slice(0, 2)))).toEqual([]);
  });

  it("folds to its source, wherever a turn with every kind of part was cut", async () => {
    const telling = (part: ChatMessage["parts"][number]) => {
      if (part.type === "text" || part.type === "reasoning") return [part.type, part.text];
      return "toolCallId" in part ? [part.type, part.toolCallId, part.state] : [part.type];
    };
    const opened = 2;
    const saidAt = richTurn.findIndex(({ type }) => type === "reasoning-delta");
    for (let end = saidAt + 1; end <= richTurn.length; end++) {
      const parts = await partsOf(richTurn.slice(opened, end).filter((chunk) => !isTerminal(chunk)));
      const known = parts.filter((part) => {
        if ("preliminary" in part && part.preliminary) return false;
        return !("errorText" in part && part.errorText === unfinishedTool);
      });
      // The SDK shows a step with its first content, here the turn's status.
      const again = await foldChunks([...head, ...keptChunks(parts), status("generate", "active")]);
      expect(again.parts.map(telling)).toEqual(known.map(telling));
    }
  });
});

describe("joining", () => {
  const prefix = (...chunks: TurnChunk[]) =>
    new PrefixJoiner({ stepOpen: new ChunkState(chunks).stepOpen, openText: openTextOf(chunks) });
  const open = () => prefix({ type: "start-step" }, ...text("One "));
  const feed = (joint: PrefixJoiner, chunks: TurnChunk[]) => chunks.flatMap((chunk) => joint.join(chunk));
  const model = (id: string, delta: string): TurnChunk[] => [
    { type: "text-start", id },
    { type: "text-delta", id, delta },
    { type: "text-end", id },
  ];
  const joined = (delta: string): TurnChunk[] => [
    { type: "text-delta", id: "t", delta },
    { type: "text-end", id: "t" },
  ];

  it("changes nothing at a beginning without an answer", () => {
    const joint = prefix(...head);
    expect(joint.done).toBe(true);
    const chunks: TurnChunk[] = [{ type: "start-step" }, ...model("m", "x")];
    expect(feed(joint, chunks)).toEqual(chunks);
  });

  it("appends the first text to the open part, and puts the second in its own", () => {
    const joint = open();
    const second = model("m", "three");
    expect(feed(joint, [{ type: "start-step" }, ...model("m", "two")])).toEqual(joined("two"));
    expect(joint.done).toBe(true);
    expect(feed(joint, second)).toEqual(second);
  });

  it("also works when the model reasons first", () => {
    const thought: TurnChunk[] = [
      { type: "reasoning-start", id: "r" },
      { type: "reasoning-delta", id: "r", delta: "hm" },
      { type: "reasoning-end", id: "r" },
    ];
    expect(feed(open(), [{ type: "start-step" }, ...thought, ...model("m", "two")])).toEqual([
      ...thought,
      ...joined("two"),
    ]);
  });

  it("closes the text when the model calls a tool instead, and later text is a new part", () => {
    const second = model("m", "two");
    expect(feed(open(), [{ type: "start-step" }, call, result, { type: "finish-step" }, ...second])).toEqual([
      { type: "text-end", id: "t" },
      call,
      result,
      { type: "finish-step" },
      ...second,
    ]);
  });

  it("goes on in a step that is open and has no text", () => {
    const joint = prefix(...head, { type: "start-step" });
    expect(feed(joint, [{ type: "start-step" }, ...model("m", "one")])).toEqual(model("m", "one"));
  });
});
