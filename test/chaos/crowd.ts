// The test's side of crowd-process.ts: many readers of turns, in another process.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export type Gaps = { p50: number; p99: number; max: number };

export type CrowdVerbs = {
  /** Adds readers, spread over the URLs. Resolves once each has received its first bytes. */
  open(urls: string[], token: string, count: number): Promise<void>;
  /** Restarts counting heartbeats. */
  listen(): Promise<void>;
  /** Since `listen`: the gap before each heartbeat, and the longest current silence. */
  beats(): Promise<{ alive: number; fewest: number; gapsMs: Gaps; silentMs: number }>;
  /** Resolves once each reader has this text, with its last piece's delay after `sinceMs`. */
  received(text: string, sinceMs: number): Promise<Gaps>;
  /** Resolves once all connections are closed. */
  ended(): Promise<{ terminals: number; breaches: string[] }>;
};

export type Crowd = CrowdVerbs & {
  /** The clock used by `received`. */
  nowMs(): number;
  close(): Promise<void>;
};

export async function startCrowd(): Promise<Crowd> {
  const child = fork(fileURLToPath(new URL("./crowd-process.ts", import.meta.url)), { execArgv: [] });
  await once(child, "spawn");
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let calls = 0;
  child.on("message", ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  });
  child.on("exit", (code) => {
    for (const call of waiting.values()) call.reject(new Error(`The crowd's process ended (${code}).`));
  });
  const ask =
    (verb: keyof CrowdVerbs) =>
    (...values: unknown[]) => {
      const call = Promise.withResolvers<unknown>();
      calls += 1;
      waiting.set(calls, call);
      child.send({ id: calls, verb, values });
      return call.promise;
    };
  const verbs = Object.fromEntries(
    (["open", "listen", "beats", "received", "ended"] as const).map((verb) => [verb, ask(verb)]),
  ) as unknown as CrowdVerbs;
  return {
    ...verbs,
    nowMs: () => Number(process.hrtime.bigint()) / 1e6,
    async close() {
      const exited = once(child, "exit");
      child.disconnect();
      await exited;
    },
  };
}
