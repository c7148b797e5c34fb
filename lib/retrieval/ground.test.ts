import { describe, expect, it } from "vitest";
import type { Source } from "@/lib/turn/chunks";
import { ground } from "./ground";

function source(ordinal: number, text: string, heading?: string): Source {
  const id = `00000000-0000-7000-8000-00000000000${ordinal}`;
  return {
    sourceId: id,
    mediaType: "text/plain",
    title: "Notes",
    filename: "notes.txt",
    ordinal,
    score: 1,
    text,
    documentId: id,
    chunkId: id,
    metadata: { ...(heading && { heading }), position: 1 },
  };
}

const sources = [
  source(1, "Heartbeats are sent after fifteen seconds of silence."),
  source(2, "The lease is renewed by appends and by a timer.", "Fencing"),
];

describe("ground", () => {
  it("is 1 for quoted sentences with their citations", () => {
    const answer = "Heartbeats are sent after fifteen seconds of silence [1]. The lease is renewed by appends [2].";
    expect(ground(answer, sources)).toEqual({ confidence: 1, groundedness: 1 });
  });

  it("assigns a citation after the full stop to the preceding sentence", () => {
    const answer = "Heartbeats are sent after fifteen seconds. [1] The lease is renewed by a timer. [2]";
    expect(ground(answer, sources)).toEqual({ confidence: 1, groundedness: 1 });
  });

  it("is 0 without citations, with unknown ones, and with the wrong ones", () => {
    const said = "Heartbeats are sent after fifteen seconds";
    for (const answer of [`${said}.`, `${said} [7].`, `${said} [2].`, `${said} [1](https://example.org).`]) {
      expect(ground(answer, sources)).toEqual({ confidence: 0, groundedness: 0 });
    }
  });

  it("weights sentences by length, and ignores those without words", () => {
    const answer = "Heartbeats sent after silence [1]. Bananas grow [1]. And so it is.";
    expect(ground(answer, sources)).toEqual({ confidence: 3 / 5, groundedness: 1 / 2 });
  });

  it("counts a paraphrase as supported from one half", () => {
    const half = ground("Heartbeats interrupt silence regularly [1].", sources);
    expect(half).toEqual({ confidence: 0.5, groundedness: 1 });
  });

  it("combines the sources that a sentence cites, and reads headings and titles", () => {
    const answer = "Heartbeats and the lease, says fencing in the notes [1, 2].";
    expect(ground(answer, sources)).toEqual({ confidence: 4 / 5, groundedness: 1 });
  });

  it("is null without sources and 0 for an empty answer", () => {
    expect(ground("Anything [1].", [])).toBeNull();
    expect(ground("", sources)).toEqual({ confidence: 0, groundedness: 0 });
    expect(ground("[1]", sources)).toEqual({ confidence: 0, groundedness: 0 });
  });
});
