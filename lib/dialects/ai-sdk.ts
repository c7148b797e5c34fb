// The AI SDK's UI message stream, protocol v1: each chunk is a frame as it stands, without what only its provider can read
// (docs/protocol.md §4, §5). The native dialect; its routes say more than a turn and have doors of their own in app/api.
import { z } from "zod";
import { executedHere } from "@/lib/turn/executed-here";
import { hasState, withoutState } from "@/lib/turn/provider-state";
import type { Dialect } from "./contract";

export const aiSdk: Dialect = {
  name: "ai-sdk",
  knows: "turn",
  remembers: false,
  encoder:
    ({ view }) =>
    ({ chunk, json }) => {
      // Every chunk is a frame; what this one says is the provider's and ours.
      if (chunk.type === "data-upstream") return [{ data: JSON.stringify({ ...chunk, data: {} }) }];
      const known = hasState(chunk) ? withoutState(chunk) : chunk;
      const shown = view.clientTools ? known : executedHere(known);
      return [{ data: shown === chunk ? json : JSON.stringify(shown) }];
    },
  trailer: "[DONE]",
  headers: { "x-vercel-ai-ui-message-stream": "v1" },
  routes: [],
  describes: {
    summary: "The AI SDK's UI message stream, protocol v1.",
    event: z.looseObject({ type: z.string() }).describe("One `UIMessageChunk` of the AI SDK."),
  },
};
