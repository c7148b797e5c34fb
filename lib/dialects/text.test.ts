import fc from "fast-check";
import { expect, it } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { richTurn } from "@/lib/turn/rich-turn";
import { dialectContract, hostileText, parseByteByByte, stream } from "./dialect.contract";
import { dialectNames, findDialect } from "./registry";
import { text } from "./text";

dialectContract(text);

it("sends text deltas and nothing else", () => {
  const deltas = richTurn.flatMap((chunk) => (chunk.type === "text-delta" ? [chunk.delta] : []));
  expect(parseByteByByte(stream(text, richTurn)).map(({ data }) => JSON.parse(data))).toEqual(deltas);
});

it("gives back every text", () => {
  fc.assert(
    fc.property(hostileText, (delta) => {
      const turn: TurnChunk[] = [{ type: "text-delta", id: "t", delta }];
      expect(parseByteByByte(stream(text, turn)).map(({ data }) => JSON.parse(data))).toEqual([delta]);
    }),
  );
});

it("every dialect is found by its name, and nothing by another", () => {
  expect(dialectNames).toEqual(expect.arrayContaining(["ai-sdk", "text"]));
  for (const name of dialectNames) expect(findDialect(name)?.name).toBe(name);
  for (const name of ["", "TEXT", "toString", "__proto__"]) expect(findDialect(name)).toBeNull();
});
