// Text deltas only, each a JSON string (docs/protocol.md §6.8). The smallest encoder; read this one
// first.
import { z } from "zod";
import type { Dialect } from "./dialect";

export const text: Dialect = {
  name: "text",
  contextScope: "turn",
  stateful: false,
  encoder:
    () =>
    ({ chunk }) =>
      chunk.type === "text-delta" ? [{ data: JSON.stringify(chunk.delta) }] : [],
  routes: [],
  description: { summary: "Pieces of the text and nothing else.", event: z.string() },
};
