// Limits how many files are parsed at once in this process, and picks the next. Uploads beyond the
// queue limits are refused: each holds its bytes in memory.

import { availableParallelism } from "node:os";
import { AppError } from "@/lib/errors";
import { processSingleton } from "@/lib/process-singletons";

export type QueueLimits = {
  /** Concurrent parses. */
  maxRunning: number;
  /** Per user, running and waiting. */
  maxOfUser: number;
  /** Across all users. Each waiting file may hold 10 MiB. */
  maxWaiting: number;
};

/** Leaves a core to the server. */
const defaults: QueueLimits = {
  maxRunning: Math.min(4, Math.max(1, availableParallelism() - 1)),
  maxOfUser: 4,
  maxWaiting: 16,
};

type Job = { userId: string; begin: () => void };

export class ParseQueue {
  readonly #limits: QueueLimits;
  readonly #running: string[] = [];
  #waiting: Job[] = [];

  constructor(limits: QueueLimits = defaults) {
    this.#limits = limits;
  }

  /**
   * Runs the work in its turn: users without a running file first, then in upload order. Throws
   * AppError `rate_limited` if the user has too many files in progress, `unavailable` if all users
   * together have.
   */
  async run<T>(userId: string, work: () => Promise<T>): Promise<T> {
    await this.#turn(userId);
    try {
      return await work();
    } finally {
      this.#running.splice(this.#running.indexOf(userId), 1);
      this.#beginNext();
    }
  }

  #turn(userId: string): Promise<void> {
    const { maxOfUser, maxWaiting } = this.#limits;
    if (this.#countOf(userId) >= maxOfUser)
      throw new AppError(
        "rate_limited",
        `${maxOfUser} of your uploads are being read already. Nothing of this one was stored; send it again when one of them has finished.`,
        { retryAfter: 5 },
      );
    if (this.#waiting.length >= maxWaiting)
      throw new AppError(
        "unavailable",
        "The server is already reading as many documents as it can. Nothing of this one was stored; send it again in a moment.",
        { retryAfter: 10 },
      );
    return new Promise((begin) => {
      this.#waiting.push({ userId, begin });
      this.#beginNext();
    });
  }

  #countOf(userId: string): number {
    const waiting = this.#waiting.filter((job) => job.userId === userId).length;
    return waiting + this.#running.filter((running) => running === userId).length;
  }

  #beginNext(): void {
    if (this.#running.length >= this.#limits.maxRunning) return;
    const next = this.#waiting.find(({ userId }) => !this.#running.includes(userId)) ?? this.#waiting[0];
    if (!next) return;
    this.#waiting = this.#waiting.filter((job) => job !== next);
    this.#running.push(next.userId);
    next.begin();
  }
}

export const parseQueue = processSingleton("parse-queue", () => new ParseQueue());
