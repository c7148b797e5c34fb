// The AI SDK's UI message stream, protocol v1: each chunk is a frame as it stands, without what only its provider can read
// (docs/protocol.md §4, §5). The native dialect; its routes say more than a turn and have doors of their own in app/api.
import { z } from "zod";
import { hasState, withoutState } from "@/lib/turn/provider-state";
import type { Dialect } from "./contract";

export const aiSdk: Dialect = {
  name: "ai-sdk",
  knows: "turn",
  remembers: false,
  encoder: () => (logged) => {
    const { chunk, json } = logged;
    return [{ data: hasState(chunk) ? JSON.stringify(withoutState(chunk)) : json }];
  },
  trailer: "[DONE]",
  headers: { "x-vercel-ai-ui-message-stream": "v1" },
  routes: [],
  describes: {
    summary: "The AI SDK's UI message stream, protocol v1.",
    event: z.looseObject({ type: z.string() }).describe("One `UIMessageChunk` of the AI SDK."),
  },
};
