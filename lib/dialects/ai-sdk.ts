// The AI SDK's UI message stream, protocol v1: each chunk is a frame as it stands (docs/protocol.md §5). The native
// dialect; its routes say more than a turn and have doors of their own in app/api.
import { z } from "zod";
import type { Dialect } from "./contract";

export const aiSdk: Dialect = {
  name: "ai-sdk",
  knows: "turn",
  remembers: false,
  encoder: () => (logged) => [{ data: logged.json }],
  trailer: "[DONE]",
  routes: [],
  describes: {
    summary: "The AI SDK's UI message stream, protocol v1.",
    event: z.looseObject({ type: z.string() }).describe("One `UIMessageChunk` of the AI SDK."),
  },
};
