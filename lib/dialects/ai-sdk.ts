// The AI SDK's UI message stream, protocol v1: each chunk is one frame, minus state that only its
// provider can read (docs/protocol.md §4, §5). The native dialect; its routes do more than turns
// and live in app/api.
import { z } from "zod";
import { markProviderExecuted } from "@/lib/turn/provider-executed";
import { hasState, withoutState } from "@/lib/turn/provider-state";
import type { Dialect } from "./dialect";

export const aiSdk: Dialect = {
  name: "ai-sdk",
  contextScope: "turn",
  stateful: false,
  encoder:
    ({ view }) =>
    ({ chunk, json }) => {
      // Every chunk is a frame; the data of this one concerns only the provider and this server.
      if (chunk.type === "data-upstream") return [{ data: JSON.stringify({ ...chunk, data: {} }) }];
      const known = hasState(chunk) ? withoutState(chunk) : chunk;
      const shown = view.clientTools ? known : markProviderExecuted(known);
      return [{ data: shown === chunk ? json : JSON.stringify(shown) }];
    },
  trailer: "[DONE]",
  headers: { "x-vercel-ai-ui-message-stream": "v1" },
  routes: [],
  description: {
    summary: "The AI SDK's UI message stream, protocol v1.",
    event: z.looseObject({ type: z.string() }).describe("One `UIMessageChunk` of the AI SDK."),
  },
};
