// Tools a client supplies and runs itself (docs/protocol.md §6.6): the model may call them, but the
// server never runs them.
import { jsonSchema, type ToolSet, tool } from "ai";
import type { TurnPrompt } from "@/lib/turn/turn-input";

/** Without `execute`, a call ends the turn, and the client answers it in its next request. */
export function clientTools(tools: NonNullable<TurnPrompt["tools"]>): ToolSet {
  return Object.fromEntries(
    tools.map(({ name, description, parameters, strict }) => [
      name,
      tool({ description, inputSchema: jsonSchema(parameters), ...(strict !== undefined && { strict }) }),
    ]),
  );
}
