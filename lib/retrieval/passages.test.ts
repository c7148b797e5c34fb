import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstHeading, splitPassages } from "./passages";

const markdown = (text: string) => splitPassages(text, { markdown: true });
const plain = (text: string) => splitPassages(text, { markdown: false });
const paragraph = (name: string, words: number) => `${`${name} `.repeat(words).trim()}.`;

describe("Markdown", () => {
  it("gives every passage the path of its headings and never crosses one", async () => {
    const text = "intro\n\n# Outer\n\nfirst\n\n## Inner `code`\n\nsecond\n\n### Deep\n\nthird\n\n# Next\n\nfourth";
    expect(await markdown(text)).toEqual([
      { heading: "", text: "intro" },
      { heading: "Outer", text: "first" },
      { heading: "Outer › Inner code", text: "second" },
      { heading: "Outer › Inner code › Deep", text: "third" },
      { heading: "Next", text: "fourth" },
    ]);
  });

  it("does not treat a comment in code as a heading", async () => {
    const text = "# Real\n\n```sh\n# not a heading\nls\n```\n\nafter";
    const passages = await markdown(text);
    expect(passages).toEqual([{ heading: "Real", text: "```sh\n# not a heading\nls\n```\n\nafter" }]);
    expect(firstHeading("```\n# no\n```\n## no\n# Yes *it* is #\n")).toBe("Yes it is");
    expect(firstHeading("no heading")).toBeNull();
  });

  it("closes and reopens a code fence that is split", async () => {
    const code = Array.from({ length: 2000 }, (_, line) => `const line${line} = ${line};`).join("\n");
    const passages = await markdown(`# Code\n\n\`\`\`ts\n${code}\n\`\`\`\n`);
    expect(passages.length).toBeGreaterThan(40);
    for (const { text } of passages) {
      expect(text.startsWith("```ts\n")).toBe(true);
      expect(text.endsWith("\n```")).toBe(true);
      expect(text.match(/^```/gm)).toHaveLength(2);
    }
  });
});

describe("length", () => {
  it("stays near the limit, with a little overlap between neighbours", async () => {
    const words = Array.from({ length: 2000 }, (_, number) => `word${number}`);
    const passages = await plain(words.join(" "));
    for (const { text } of passages) expect(text.length).toBeLessThanOrEqual(1200);
    const [first = "", second = ""] = passages.map(({ text }) => text);
    expect(first).toContain(second.split(" ")[0]);
    expect(new Set(passages.flatMap(({ text }) => text.split(" ")))).toEqual(new Set(words));
  });

  it("keeps a paragraph that fits in one passage", async () => {
    const [a, b, c] = [paragraph("alpha", 100), paragraph("beta", 100), paragraph("gamma", 100)];
    const passages = await plain([a, b, c].join("\n\n"));
    expect(passages.map(({ text }) => text)).toEqual([a, b, c]);
  });

  it("splits text without spaces, never inside a character", async () => {
    const text = "🙂".repeat(3000);
    const passages = await plain(text);
    expect(passages.map((passage) => passage.text).join("")).toBe(text);
    for (const passage of passages) expect(passage.text.isWellFormed()).toBe(true);
  });

  it("returns nothing for an empty text", async () => {
    expect(await plain("")).toEqual([]);
    expect(await markdown(" \n\n# Only a heading\n\n \r\n")).toEqual([]);
  });
});

it("loses no word of any text", async () => {
  const piece = fc.constantFrom(
    "# A",
    "## B",
    "```",
    "~~~~",
    "| a | b |",
    "- item",
    "word. ",
    "x".repeat(1500),
    "\n",
    "\n\n",
    "\r\n",
    "é🙂",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 60 }), fc.boolean(), async (pieces, asMarkdown) => {
      const text = pieces.join("\n");
      const passages = await splitPassages(text, { markdown: asMarkdown });
      const joined = passages.map((passage) => passage.text).join("\n");
      const wanted = text.match(/item|word|é🙂/g) ?? [];
      expect(joined.match(/item|word|é🙂/g)?.length ?? 0).toBeGreaterThanOrEqual(wanted.length);
      for (const passage of passages) {
        expect(passage.text.trim()).not.toBe("");
        expect(passage.text.length).toBeLessThanOrEqual(1200);
      }
    }),
    { numRuns: 200 },
  );
});

it("reads a source file as plain text", async () => {
  const text = await readFile("db/schema.ts", "utf8");
  const passages = await plain(text);
  expect(passages.length).toBeGreaterThan(5);
  for (const passage of passages) expect(text).toContain(passage.text);
});
