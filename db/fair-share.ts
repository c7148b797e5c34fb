// Schedules statements that may take long: searches, uploads. Together they leave half of the pool
// to short statements, and no user runs more than two, so one user's sixty searches delay no one
// else.
import "server-only";
import { processSingleton } from "@/lib/process-singletons";

/** Of the pool's ten connections. */
const maxHeavy = 5;
const maxHeavyPerUser = 2;
/** Far more than a person or a sane script queues. */
const maxWaitingPerUser = 100;

/** The user's queue is full; nothing was done. */
export class QueueFullError extends Error {
  readonly code = "QUEUE_FULL";
}

type Queue = { running: number; waiting: (() => void)[] };

type Schedule = { running: number; users: Map<string, Queue> };
const schedule = processSingleton<Schedule>("fair-share", () => ({ running: 0, users: new Map() }));

/** Runs the work when it is this user's turn. Throws QueueFullError. Must not be nested. */
export async function fairShare<T>(userId: string, work: () => PromiseLike<T>): Promise<T> {
  const state = schedule();
  const queue = state.users.get(userId) ?? { running: 0, waiting: [] };
  if (queue.waiting.length >= maxWaitingPerUser)
    throw new QueueFullError("too many statements of this user are waiting");
  const { promise, resolve } = Promise.withResolvers<void>();
  queue.waiting.push(resolve);
  state.users.set(userId, queue);
  startNext(state);
  await promise;
  try {
    return await work();
  } finally {
    state.running -= 1;
    queue.running -= 1;
    if (queue.running + queue.waiting.length === 0) state.users.delete(userId);
    startNext(state);
  }
}

/** Picks the waiting user with the fewest running; among equals, the least recently served. */
function startNext(state: Schedule): void {
  while (state.running < maxHeavy) {
    let next: [string, Queue] | undefined;
    for (const entry of state.users) {
      const [, { running, waiting }] = entry;
      if (waiting.length > 0 && running < maxHeavyPerUser && running < (next?.[1].running ?? maxHeavyPerUser))
        next = entry;
    }
    if (!next) return;
    const [userId, queue] = next;
    queue.running += 1;
    state.running += 1;
    state.users.delete(userId);
    state.users.set(userId, queue);
    queue.waiting.shift()?.();
  }
}
