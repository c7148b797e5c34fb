// Wraps every tool call: equal calls run once, a stop does not wait, and internal errors never
// leave the server. Knows nothing of what a tool does.
import type { Tool, ToolExecutionOptions } from "ai";
import { unlessAborted } from "@/lib/bounded-wait";
import { ToolFailure } from "./tool-family";

/**
 * Longer than any tool should wait, and shorter than a user's patience with a line that says
 * "Running".
 */
const patienceMs = 15_000;

/** Claims no more than is known: a statement may have committed before its answer was lost. */
const broken =
  "This tool is not working at the moment, and it may or may not have changed something. Check before trying again.";

type Execute = (input: unknown, options: ToolExecutionOptions<unknown>) => Promise<unknown>;

/**
 * Wraps a tool so that calls reject only with `ToolFailure`: immediately when the turn is stopped,
 * although work already started may still take effect. `report` receives each failure that is not
 * the model's own.
 */
export function guardTool(tool: Tool, report: (error: unknown) => void, timeoutMs = patienceMs): Tool {
  const execute = tool.execute as Execute;
  const started = new Map<string, Promise<unknown>>();
  const once: Execute = (input, options) => {
    // Keyed within one step, identified by the prompt's length: some providers restart their call
    // ids in each.
    const call = JSON.stringify([options.messages.length, options.toolCallId, input]);
    const result = started.get(call) ?? execute(input, options);
    started.set(call, result);
    return result;
  };
  return {
    ...tool,
    // A model without tool support answers without them (lib/models/repairs.ts).
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
