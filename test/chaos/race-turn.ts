// A turn as both sides of races.test.ts write it. Without Vitest: one side is a plain process.
import type { LogWriter } from "@/lib/log/durable-log";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { FinalState, TurnChunk } from "@/lib/turn/chunks";
import { endTurn } from "@/lib/turn/ending";
import type { Halt } from "@/lib/turn/run-input";

export type RacePlan = {
  turnId: string;
  /** When it finishes by itself; null: never. */
  finishMs: number | null;
  wordMs: number;
  /** Before the first word. */
  silentMs: number;
};

export const words = Array.from({ length: 60 }, (_, index) => `word${index} `);

type RaceTurn = {
  signal: AbortSignal;
  say(delta: string): void;
  /** Ends it with `status`, or as the log requests. */
  end(status: FinalState): Promise<"stored" | "lost">;
};

/** `stored`: the chunks already in its log. */
export function beginTurn(writer: LogWriter, turnId: string, stored: TurnChunk[] = []): RaceTurn {
  const state = new ChunkState(stored);
  const append = (chunk: TurnChunk) => {
    state.apply(chunk);
    return writer.append(chunk);
  };
  const messageMetadata = { turnId, chatId: `chat-${turnId}`, model: "test", createdAt: "2026-01-01T00:00:00.000Z" };
  const beginning: TurnChunk[] = [
    { type: "start", messageId: `answer-${turnId}`, messageMetadata },
    { type: "data-turn", data: { turnId, status: "running" }, transient: true },
    { type: "start-step" },
    { type: "text-start", id: "t" },
  ];
  for (const chunk of beginning.slice(stored.length)) void append(chunk);
  return {
    signal: writer.signal,
    say: (delta) => void append({ type: "text-delta", id: "t", delta }),
    async end(status) {
      const halt = writer.signal.aborted ? (writer.signal.reason as Halt) : { status };
      for (const chunk of endTurn(state, { turnId, ...halt })) await writer.append(chunk);
      return writer.ended;
    },
  };
}
