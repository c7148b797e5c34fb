// Captures the logger's lines while a test's work runs.
import { Writable } from "node:stream";
import pino from "pino";
import { vi } from "vitest";
import { logger } from "@/lib/logger";

type Line = Record<string, unknown>;

export async function logged(work: (lines: Line[]) => Promise<unknown>): Promise<Line[]> {
  const lines: Line[] = [];
  const sink = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  // Spies on the logger's own stream.
  const stream = (logger as unknown as Record<symbol, { write(line: string): void }>)[pino.symbols.streamSym];
  const spy = vi
    .spyOn(stream as { write(line: string): void }, "write")
    .mockImplementation((line) => void sink.write(line));
  try {
    await work(lines);
  } finally {
    spy.mockRestore();
  }
  return lines;
}
