// All tools offered to the model. A new family is one line here (docs/protocol.md §8).
import type { ToolSet } from "ai";
import { guardTool } from "./guard";
import { taskTools } from "./tasks";
import type { ToolFamily } from "./tool-family";

const families: ToolFamily[] = [taskTools];

/**
 * The tools for one turn of this user. Failures are `ToolFailure`s; `report` receives the server's
 * own.
 */
export function toolsFor(userId: string, report: (error: unknown) => void): ToolSet {
  const tools: ToolSet = Object.assign({}, ...families.map((family) => family(userId)));
  return Object.fromEntries(Object.entries(tools).map(([name, tool]) => [name, guardTool(tool, report)]));
}
