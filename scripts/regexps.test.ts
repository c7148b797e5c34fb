import { expect, it } from "vitest";
import { expressionsIn, problemOf } from "./regexps";

it.each([
  ["a heading with spaces", String.raw`^ {0,3}(#{1,6})\s+(.+?)(?:\s+#+)?\s*$`, ""],
  ["an image that never closes", String.raw`!\[[^\]]*\]\([^)]*\)`, "g"],
  ["white space before the end", String.raw`\s+$`, ""],
  ["a nested repetition", "^(a+)+$", ""],
  ["one that is non-linear only with its flags", String.raw`^ {0,3}\[[^\]\n]+\]:`, "m"],
])("I23: detects a non-linear expression: %s", async (_, source, flags) => {
  expect(await problemOf({ source, flags })).toMatch(/^is (polynomial|exponential)/);
});

it("accepts linear expressions", async () => {
  for (const source of [String.raw`\s+`, String.raw`[\ud800-\udbff]$`, "^(?:ss|sh|ch|x)es$"])
    expect(await problemOf({ source, flags: "" })).toBeNull();
});

it("skips expressions that a comment on the line above marks as bounded, with the reason", () => {
  expect(
    expressionsIn("a.ts", "// Bounded: maxLength.\nconst a = /x+$/;\n// Bounded:\nconst b = /y+$/;"),
  ).toMatchObject([{ line: 4, source: "y+$" }]);
});

it("reads literals and constructors, with flags and lines", () => {
  const code = [
    "const a = /x\\/+$/gu;",
    'const b = new RegExp("(y+)+$", "i");',
    "const c = 4 / 2 / 1; // /no/",
    "f(/z/);",
    'const d = new RegExp(["u+", "v+$"].join("|"), "m");',
    'const e = new RegExp([known, "v+$"].join("|"));',
  ].join("\n");
  expect(expressionsIn("a.ts", code)).toEqual([
    { file: "a.ts", line: 1, source: "x\\/+$", flags: "gu" },
    { file: "a.ts", line: 2, source: "(y+)+$", flags: "i" },
    { file: "a.ts", line: 4, source: "z", flags: "" },
    { file: "a.ts", line: 5, source: "u+|v+$", flags: "m" },
  ]);
});
