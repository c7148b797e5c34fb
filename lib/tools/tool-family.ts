// The contract of a tool family, and how its tools fail. A family is one file in this folder and
// one line in registry.ts; nothing here knows which tools exist (docs/protocol.md §8).
import type { Tool } from "ai";
import type { ToolTraits, TurnTool } from "@/lib/turn/tool-result";

/**
 * A family's tools, bound to the turn's user. The model never chooses the user: no tool has an
 * input for it. `execute` returns plain JSON or throws `ToolFailure`; anything else it throws is a
 * bug or an outage, of which model and user learn only that it happened.
 */
export type ToolFamily = (userId: string) => Record<string, TurnTool>;

/**
 * Marks a tool whose effect cannot be undone. Once third-party text is in context, the user must
 * consent to each call; `describe` says in a sentence what this call would do, and changes nothing.
 */
export function destructive<T extends Tool>(tool: T, describe: NonNullable<ToolTraits["describe"]>): T & ToolTraits {
  return Object.assign(tool, { destructive: true, describe });
}

/**
 * A failure reported to the model, which may act on it. The message is fixed or built from the model's own
 * input.
 */
export class ToolFailure extends Error {
  // The AI SDK tells the model `name: message`; an empty name leaves the message alone.
  override name = "";
}
