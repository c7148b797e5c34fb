// Watches a chat: which turn is its latest and its state, now and on every change, whichever device
// or server started it (docs/protocol.md §5). For the content of a turn see follow-turn.ts. All watchers
// of a chat in a process share one read per change, and an idle chat is not read at all.

import { findLatestTurn } from "@/db/turns";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { processSingleton } from "@/lib/process-singletons";
import type { TurnState } from "@/lib/turn/chunks";
import { requireChat } from "./chats";

export type TurnStatus = { turnId: string; status: TurnState };

export interface ChatWatcher {
  /**
   * The latest turn immediately, then whenever the turn or its state changes; intermediate states
   * may be skipped. Waits while there is none. Null after `close`, or when the chat is deleted or
   * the server shuts down. Throws database errors. One call at a time.
   */
  next(): Promise<TurnStatus | null>;
  close(): void;
}

type Watches = { chats: Map<string, WatchedChat>; released: boolean };
const watches = processSingleton<Watches>("watches", () => ({ chats: new Map(), released: false }));

/** Throws not_found if the user has no such chat, unavailable during shutdown. */
export async function watchChat(userId: string, chatId: string): Promise<ChatWatcher> {
  await requireChat(userId, chatId);
  const { chats, released } = watches();
  if (released) throw new AppError("unavailable", "The server is restarting.", { retryAfter: 2 });
  // Chat ids are unique per user only.
  const name = `${userId} ${chatId}`;
  const chat = chats.get(name) ?? new WatchedChat(userId, chatId, () => chats.delete(name));
  chats.set(name, chat);
  return new Subscriber(chat);
}

/** Number of open watchers in this process. */
export function watchCount(): number {
  let count = 0;
  for (const { watchers } of watches().chats.values()) count += watchers.size;
  return count;
}

/** For shutdown: ends all watches and refuses new ones, so that clients reconnect elsewhere. */
export function releaseWatches(): void {
  const all = watches();
  all.released = true;
  for (const chat of [...all.chats.values()]) chat.end();
}

class WatchedChat {
  latest: TurnStatus | null = null;
  readonly watchers = new Set<Subscriber>();
  readonly #userId: string;
  readonly #chatId: string;
  readonly #unwatch: () => void;
  readonly #forget: () => void;
  #reading: Promise<void> = Promise.resolve();
  #readQueued = false;

  constructor(userId: string, chatId: string, forget: () => void) {
    this.#userId = userId;
    this.#chatId = chatId;
    this.#forget = forget;
    this.#unwatch = turnLog().watchChat(userId, chatId, () => this.queueRead());
  }

  /** Queues one read after the current one, shared by all callers until it starts. */
  queueRead(): void {
    if (this.#readQueued) return;
    this.#readQueued = true;
    this.#reading = this.#reading.then(() => {
      this.#readQueued = false;
      return this.#read();
    });
  }

  async #read(): Promise<void> {
    try {
      const turn = await findLatestTurn(this.#userId, this.#chatId);
      // Turns are deleted only with their chat.
      if (!turn && this.latest) return this.end();
      if (!turn || (turn.id === this.latest?.turnId && turn.state === this.latest.status)) return;
      this.latest = { turnId: turn.id, status: turn.state };
      for (const watcher of this.watchers) watcher.wake();
    } catch (error) {
      // Changes may have been missed, so watchers must start over.
      this.end(error);
    }
  }

  end(error?: unknown): void {
    for (const watcher of [...this.watchers]) watcher.close(error);
  }

  remove(watcher: Subscriber): void {
    this.watchers.delete(watcher);
    if (this.watchers.size > 0) return;
    this.#unwatch();
    this.#forget();
  }
}

class Subscriber implements ChatWatcher {
  readonly #chat: WatchedChat;
  #delivered: TurnStatus | null = null;
  #closed = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  constructor(chat: WatchedChat) {
    this.#chat = chat;
    chat.watchers.add(this);
    // Changes before the log subscription are only in the database.
    chat.queueRead();
  }

  async next(): Promise<TurnStatus | null> {
    while (!this.#closed) {
      const { latest } = this.#chat;
      if (latest && latest !== this.#delivered) {
        this.#delivered = latest;
        return latest;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error) throw this.#error;
    return null;
  }

  wake(): void {
    this.#wake?.();
  }

  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#chat.remove(this);
    this.wake();
  }
}
