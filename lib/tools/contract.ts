// What a family of tools is, and how one of its tools fails. A family is one file in this folder and one line in
// registry.ts; nothing here knows which tools there are (docs/protocol.md §8).
import type { Tool } from "ai";
import type { ToolTraits, TurnTool } from "@/lib/turn/tool-result";

/**
 * The tools of a family, bound to the user of the turn. Who that is never comes from the model: no tool has an input
 * for it. An `execute` answers with plain JSON, or throws `ToolFailure`; anything else it throws is a bug or an outage,
 * of which neither the model nor the user is told more than that it happened.
 */
export type ToolFamily = (userId: string) => Record<string, TurnTool>;

/**
 * Marks a tool whose effect cannot be undone. Once text that others wrote is in context a person must consent to each call;
 * `describe` tells them in a sentence what this one would do, and changes nothing.
 */
export function destructive<T extends Tool>(tool: T, describe: NonNullable<ToolTraits["describe"]>): T & ToolTraits {
  return Object.assign(tool, { destructive: true, describe });
}

/** A failure that the model is told, and may act on. The sentence is fixed or made of what the model itself sent. */
export class ToolFailure extends Error {
  // The AI SDK tells the model `name: message`; without a name that is the sentence alone.
  override name = "";
}
