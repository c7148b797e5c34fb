import { expect, it } from "vitest";
import { contentWords, sentences, withoutMarkup } from "./words";

it.each([
  ["storing stored stores store", "stor"],
  ["deleted deletes delete deletion", "delet"],
  ["stopped stopping stops stop", "stop"],
  ["retries retry retried", "retry"],
  ["passes pass passed passing", "pass"],
])("%s have one stem", (words, stem) => {
  expect(new Set(contentWords(words))).toEqual(new Set([stem]));
});

it("drops stop words, keeps numbers and splits identifiers", () => {
  expect(contentWords("What is the HEARTBEAT_MS of 15000?")).toEqual(["heartbeat", "ms", "15000"]);
  expect(contentWords("it's the — … 🙂")).toEqual([]);
});

it("ends sentences at full stops and line ends", () => {
  expect(sentences("One. Two 3.5 of it!\nThree")).toEqual(["One.", "Two 3.5 of it!", "Three"]);
});

it("strips Markdown and keeps the words", () => {
  expect(withoutMarkup("**Stop** is a [compare](https://x.y) `a_b` ![p](q) 2 * 3 * 4")).toBe(
    "Stop is a compare a_b 2 * 3 * 4",
  );
});
