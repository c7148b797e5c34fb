// Text deltas only, each a JSON string (docs/protocol.md §6.8). The smallest encoder; read this one
// first.
import { z } from "zod";
import type { Dialect } from "./contract";

export const text: Dialect = {
  name: "text",
  knows: "turn",
  remembers: false,
  encoder:
    () =>
    ({ chunk }) =>
      chunk.type === "text-delta" ? [{ data: JSON.stringify(chunk.delta) }] : [],
  routes: [],
  describes: { summary: "Pieces of the text and nothing else.", event: z.string() },
};
