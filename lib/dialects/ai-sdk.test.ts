import fc from "fast-check";
import { expect, it } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { richTurn } from "@/lib/turn/rich-turn";
import { aiSdk } from "./ai-sdk";
import { dialectContract, hostileText, parseByteByByte, stream } from "./dialect.contract";

dialectContract(aiSdk);

it("sends every chunk as it is stored, then [DONE]", () => {
  const events = parseByteByByte(stream(aiSdk, richTurn));
  expect(events.at(-1)).toEqual({ data: "[DONE]", id: undefined, event: undefined });
  expect(events.slice(0, -1).map(({ data }) => data)).toEqual(richTurn.map((chunk) => JSON.stringify(chunk)));
});

it("gives back every chunk, whatever its text", () => {
  fc.assert(
    fc.property(hostileText, (delta) => {
      const turn: TurnChunk[] = [
        { type: "text-delta", id: delta, delta },
        { type: "error", errorText: delta },
      ];
      const events = parseByteByByte(stream(aiSdk, turn)).slice(0, -1);
      expect(events.map(({ data }) => JSON.parse(data))).toEqual(turn);
    }),
  );
});
