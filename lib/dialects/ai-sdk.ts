// The AI SDK's UI message stream, protocol v1: each chunk is one frame, minus state that only its
// provider can read (docs/protocol.md §4, §5). The native dialect; its routes do more than turns
// and live in app/api.
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
      // Every chunk is a frame; the data of this one concerns only the provider and this server.
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
