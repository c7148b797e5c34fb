import { describe, expect, test } from "vitest";
import { z } from "zod";
import { beforeQuestion, lastQuestion, promptMessage, promptOf } from "./openai-prompt";

const parse = (messages: unknown[]) => z.array(promptMessage).parse(messages);

test("a user's files become file parts", () => {
  const content = [
    { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } },
    { type: "input_audio", input_audio: { data: "BBBB", format: "mp3" } },
    { type: "file", file: { file_data: "data:application/pdf;base64,CCCC", filename: "a.pdf" } },
  ];
  expect(promptOf(parse([{ role: "user", content }])).messages[0]?.parts).toEqual([
    { type: "file", mediaType: "audio/wav", url: "data:audio/wav;base64,AAAA" },
    { type: "file", mediaType: "audio/mpeg", url: "data:audio/mpeg;base64,BBBB" },
    { type: "file", mediaType: "application/pdf", url: "data:application/pdf;base64,CCCC", filename: "a.pdf" },
  ]);
});

test("an answer keeps its texts and refusals, and no empty text", () => {
  const question = { role: "user", content: "Hi" };
  const answer = (fields: object) => promptOf(parse([question, { role: "assistant", ...fields }])).messages[1];
  const text = (text: string) => ({ type: "text", text });
  const parts = [text("a"), { type: "refusal", refusal: "b" }];
  expect(answer({ content: parts, refusal: "c" })).toEqual({ role: "assistant", parts: ["a", "b", "c"].map(text) });
  expect(answer({ content: "a" })).toEqual({ role: "assistant", parts: [text("a")] });
  expect(answer({ content: "" })?.parts).toEqual([]);
  expect(answer({ content: null })?.parts).toEqual([]);
});

describe("in a chat of the server", () => {
  const text = (role: "user" | "assistant", text: string) => ({ role, parts: [{ type: "text", text }] });
  const texts = (...texts: string[]) => texts.map((text) => ({ type: "text", text }));
  const messages = parse([
    { role: "system", content: "Be brief." },
    { role: "user", content: texts("one", "two") },
    { role: "assistant", content: [...texts("three"), { type: "refusal", refusal: "four" }] },
    { role: "assistant", content: null, tool_calls: [{ id: "c", function: { name: "clock", arguments: "" } }] },
    { role: "tool", tool_call_id: "c", content: "12:00" },
    { role: "user", content: texts("five", "six") },
    { role: "assistant", content: "seven" },
  ]);

  test("the question is the last user message, and the texts before it are the history", () => {
    expect(lastQuestion(messages)).toBe("five\nsix");
    expect(beforeQuestion(messages)).toEqual([text("user", "one\ntwo"), text("assistant", "three\nfour")]);
  });

  test("a question needs text, and nothing but text", () => {
    expect(() => lastQuestion(parse([{ role: "user", content: " " }]))).toThrow("some text");
    expect(() => lastQuestion(parse([{ role: "assistant", content: "a" }]))).toThrow("some text");
    const image = { type: "image_url", image_url: { url: "https://example.org/a.png" } };
    expect(() => lastQuestion(parse([{ role: "user", content: [image] }]))).toThrow("messages.0.content");
  });
});
