import { expect, it } from "vitest";
import type { ModelPart } from "./step-transcript";
import { callIdsOf, uniqueIds } from "./unique-ids";

const part = (type: string, fields: object) => ({ type, ...fields }) as ModelPart;
/** All parts of one call: the id has two names. */
const callParts = (id: string) => [
  part("tool-input-start", { id, toolName: "clock" }),
  part("tool-input-end", { id }),
  part("tool-call", { toolCallId: id, toolName: "clock", input: {} }),
];
const idsOf = (parts: ModelPart[]) =>
  parts.map((each) => ("toolCallId" in each ? each.toolCallId : "id" in each && each.id));

it("renames a call whose id an earlier step used, in each of its parts", () => {
  const used = new Set<string>();
  const steps = [1, 2, 3].map((step) => idsOf(callParts("call_0").map(uniqueIds(used, step))));
  expect(steps).toEqual([0, 2, 3].map((count) => Array(3).fill(count ? `call_0-${count}` : "call_0")));
});

it("renames a call whose id the history used", () => {
  const content = [{ type: "tool-call" as const, toolCallId: "call_0", toolName: "clock", input: {} }];
  const used = new Set(
    callIdsOf([
      { role: "user", content: "Hi" },
      { role: "assistant", content },
    ]),
  );
  expect(idsOf(callParts("call_0").map(uniqueIds(used, 1)))).toEqual(Array(3).fill("call_0-2"));
});

it("renames a text whose id its step or an earlier one used; a reasoning may share it", () => {
  const used = new Set<string>();
  const text = ["text-start", "text-delta", "text-end"].map((type) => part(type, { id: "0" }));
  const reasoning = ["reasoning-start", "reasoning-end"].map((type) => part(type, { id: "0" }));
  const first = idsOf([...text, ...reasoning, ...text].map(uniqueIds(used, 1)));
  expect(first).toEqual(["0", "0", "0", "0", "0", "0-1-2", "0-1-2", "0-1-2"]);
  expect(idsOf(text.map(uniqueIds(used, 2)))).toEqual(["0-2", "0-2", "0-2"]);
});
