import { describe, expect, it } from "vitest";
import { parseInProcess, parseLimits } from "./parse-process";

const file = (filename: string, text: string | Uint8Array = "") => ({
  filename,
  bytes: typeof text === "string" ? new TextEncoder().encode(text) : text,
});

const hostile = "test/fixtures/hostile-parser.ts";
const attack = (name: string, limits = {}) => parseInProcess(file(name), { ...parseLimits, ...limits }, hostile);

describe("a file is parsed in its own process", () => {
  it("into its title and passages, in order, across any number of messages", async () => {
    const text = Array.from({ length: 1_200 }, (_, index) => `## Section ${index}\n\nText ${index}.`).join("\n\n");
    const parsed = await parseInProcess(file("a.md", `# Title 🙂\n\n${text}`));
    expect(parsed).toMatchObject({ title: "Title 🙂", mediaType: "text/markdown" });
    const { passages } = parsed as Exclude<typeof parsed, string>;
    expect(passages).toHaveLength(1_200);
    expect(passages[1_199]).toEqual({ heading: "Title 🙂 › Section 1199", text: "Text 1199." });
  });

  it.each([
    ["unsupported_type", "a.exe", "text"],
    ["not_text", "a.txt", Buffer.from([0xff, 0xfd, 0x80])],
    ["no_text", "a.md", "# Only a heading"],
    ["too_many_passages", "a.md", "a\n# h\n".repeat(40_001)],
  ])("or into an error: %s", async (failure, name, content) => {
    expect(await parseInProcess(file(name, content))).toBe(failure);
  });
});

describe("I23: a file that compromises its parser", () => {
  it("is killed when it runs too long", async () => {
    expect(await attack("loop", { timeoutMs: 1_500 })).toBe("timeout");
  });

  it("is killed when its objects or buffers use too much memory", async () => {
    expect(await attack("heap", { maxHeapMiB: 64 })).toBe("memory");
    expect(await attack("buffers", { maxResidentMiB: 300 })).toBe("memory");
  });

  it("cannot exceed the passage limit or send an invalid message", async () => {
    for (const name of ["flood", "nonsense", "crash"]) await expect(attack(name)).rejects.toThrow("without an answer");
  });

  it("sees no secret, reads only the code, and writes and starts nothing", async () => {
    const parsed = await attack("escape");
    const outcomes = (parsed as Exclude<typeof parsed, string>).passages.map(({ heading, text }) => [heading, text]);
    expect(Object.fromEntries(outcomes)).toEqual({
      environment: "[]",
      secrets: "ERR_ACCESS_DENIED",
      system: "ERR_ACCESS_DENIED",
      writes: "ERR_ACCESS_DENIED",
      processes: "ERR_ACCESS_DENIED",
      threads: "ERR_ACCESS_DENIED",
    });
  });
});

it("falls back to this process where no other can be started", async () => {
  const parsed = await parseInProcess(file("a.txt", "text"), parseLimits, "lib/retrieval/not-there.ts");
  expect(parsed).toEqual({ title: "a.txt", mediaType: "text/plain", passages: [{ heading: "", text: "text" }] });
});
