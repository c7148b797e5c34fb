import fc from "fast-check";
import { expect, it } from "vitest";
import { type Sections, sectionsOf } from "./sections";

const paragraph = (n: number) => `Paragraph ${n}: ${"water finds its way. ".repeat(20)}\n\n`;
const long = Array.from({ length: 60 }, (_, n) => paragraph(n)).join("");

const whole = ({ finished, last }: Sections) => finished.join("") + last;

/** As the page does: re-sectioned every `step` characters. */
function grown(text: string, step: number): Sections[] {
  const all: Sections[] = [];
  for (let end = step; end < text.length + step; end += step) all.push(sectionsOf(text.slice(0, end), all.at(-1)));
  return all;
}

it("finishes sections as the text grows, and never changes finished ones", () => {
  const all = grown(long, 97);
  expect(all.at(-1)?.finished.length).toBeGreaterThan(4);
  for (const [index, sections] of all.entries()) {
    expect(whole(sections)).toBe(sections.text);
    expect(sections.last.length).toBeLessThan(6_000);
    const before = all[index - 1]?.finished ?? [];
    expect(sections.finished.slice(0, before.length)).toEqual(before);
  }
});

it("splits a complete text", () => {
  expect(sectionsOf(long).finished.length).toBeGreaterThan(4);
});

it.each([
  ["a list", "- an item of a list that goes on and on\n"],
  ["a list with empty lines", "1. an item of a list that goes on and on\n\n"],
  ["a table", "| a | b |\n"],
  ["a paragraph", "words and words "],
])("does not split inside %s", (_, piece) => {
  const block = `${piece === "| a | b |\n" ? "| x | y |\n|---|---|\n" : ""}${piece.repeat(800)}`;
  for (const sections of grown(block, 1_000)) expect(sections.finished).toEqual([]);
});

it("does not split inside code, whatever it contains", () => {
  const code = `\`\`\`md\n${long}\`\`\`\n\n`;
  for (const { finished } of grown(`${code}${long}`, 997)) expect((finished[0] ?? code).startsWith(code)).toBe(true);
});

it.each(["[river]: https://example.com", "[^1]: A note."])("keeps a text in one section that defines %s", (line) => {
  const text = `${long}\n\n${line}\n\n${long}`;
  expect(grown(text, 997).at(-1)).toEqual({ text, finished: [], last: text });
  expect(sectionsOf(text)).toEqual({ text, finished: [], last: text });
});

it("starts over with a different text", () => {
  const before = sectionsOf(long);
  expect(sectionsOf("Another answer.", before)).toEqual({
    text: "Another answer.",
    finished: [],
    last: "Another answer.",
  });
});

it("loses no character, however the text grows", () => {
  const piece = fc.constantFrom(
    paragraph(1),
    "# Head\n\n",
    "```ts\nconst x = 1;\n\n",
    "```\n\n",
    "- item\n",
    "\r\n",
    "$$",
    "<div>\n",
    "\n",
    "**bold ",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 80 }),
      fc.integer({ min: 50, max: 3_000 }),
      (pieces, step) => {
        const text = pieces.join("");
        const last = grown(text, step).at(-1);
        expect(last && whole(last)).toBe(text);
      },
    ),
  );
});
