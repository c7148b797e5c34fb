import { expect, it } from "vitest";
import { branchOf } from "./branch";

const node = (id: string, parentId: string | null) => ({ id, parentId });
const ids = (nodes: { id: string }[]) => nodes.map(({ id }) => id);

// Two questions; the first answer was made again, and the talk went on from there.
const tree = [node("q1", null), node("a1", "q1"), node("a1again", "q1"), node("q2", "a1again"), node("a2", "q2")];

it("is the way from the root to the newest message", () => {
  expect(ids(branchOf(tree))).toEqual(["q1", "a1again", "q2", "a2"]);
  expect(ids(branchOf(tree.slice(0, 3)))).toEqual(["q1", "a1again"]);
});

it("is the way to the message asked for", () => {
  expect(ids(branchOf(tree, "a1"))).toEqual(["q1", "a1"]);
  expect(ids(branchOf(tree, "q1"))).toEqual(["q1"]);
});

it("is empty for an unknown message and for no messages", () => {
  expect(branchOf(tree, "unknown")).toEqual([]);
  expect(branchOf([])).toEqual([]);
});

it("starts behind a parent that is not there, and ends where parents go in circles", () => {
  expect(ids(branchOf([node("a", "gone")]))).toEqual(["a"]);
  expect(ids(branchOf([node("a", "b"), node("b", "a")]))).toEqual(["a", "b"]);
});
