// A server's memory after garbage collection.
import type { TestServer } from "@/test/server";

/** Environment of a server to be measured. */
export const measured = { NODE_OPTIONS: `--import ${new URL("./memory-probe.mjs", import.meta.url)}` };

/** In bytes. `used`: objects and buffers; `rss` adds what the runtime keeps in reserve. */
export type Memory = { rss: number; used: number };

export async function memoryOf(server: TestServer): Promise<Memory> {
  const before = lines(server).length;
  server.signal("SIGUSR2");
  while (lines(server).length === before) await new Promise((resolve) => setTimeout(resolve, 10));
  return JSON.parse(lines(server).at(-1) as string) as Memory;
}

function lines(server: TestServer): string[] {
  return [...server.output().matchAll(/^memory-probe (.*)$/gm)].map(([, json]) => json as string);
}

export function mebibytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}
