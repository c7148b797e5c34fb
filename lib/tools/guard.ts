// What every call of a tool goes through: equal calls run once, a stop is not waited for, and what went wrong inside
// never leaves the server. Nothing here knows what a tool does.
import type { Tool, ToolExecutionOptions } from "ai";
import { unlessAborted } from "@/lib/unless-aborted";
import { ToolFailure } from "./contract";

/** Longer than any wait a tool has a reason for, and shorter than a person's patience with one line that says "Running". */
const patienceMs = 15_000;

/** Says no more than is known: a statement may have been carried out before its answer was lost. */
const broken =
  "This tool does not work at the moment, and whether it changed anything is not known. Look before trying again.";

type Execute = (input: unknown, options: ToolExecutionOptions<unknown>) => Promise<unknown>;

/**
 * The same tool, whose calls reject with `ToolFailure` and nothing else: at once when the turn is stopped, though what
 * had begun by then may still happen. `report` is told of each failure that is not the model's own doing.
 */
export function guarded(tool: Tool, report: (error: unknown) => void, timeoutMs = patienceMs): Tool {
  const execute = tool.execute as Execute;
  const begun = new Map<string, Promise<unknown>>();
  const once: Execute = (input, options) => {
    // Within one step, which the length of the prompt tells apart: some providers count their ids anew in each.
    const call = JSON.stringify([options.messages.length, options.toolCallId, input]);
    const result = begun.get(call) ?? execute(input, options);
    begun.set(call, result);
    return result;
  };
  return {
    ...tool,
    // A model that takes no tools answers without them (lib/models/repairs.ts).
    providerOptions: { rivulet: { optional: true } },
    execute: async (input: unknown, options: ToolExecutionOptions<unknown>) => {
      const stop = options.abortSignal;
      const limits = [AbortSignal.timeout(timeoutMs), ...(stop ? [stop] : [])];
      try {
        stop?.throwIfAborted();
        return await unlessAborted(once(input, options), AbortSignal.any(limits));
      } catch (error) {
        if (error instanceof ToolFailure) throw error;
        if (!stop?.aborted) report(error);
        throw new ToolFailure(broken, { cause: error });
      }
    },
  } as Tool;
}
