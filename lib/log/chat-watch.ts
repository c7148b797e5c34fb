// Subscriptions to turns of a chat starting or ending on any server, e.g. for a page open on a
// second device. Driven by notifications; while none arrive, one query per second polls all watched
// chats.
import { readChatStates } from "@/db/log";

type Watch = { userId: string; chatId: string; listeners: Set<() => void>; known: string | undefined };

export class ChatWatch {
  readonly #watches = new Map<string, Watch>();

  /** Returns the unsubscribe function. */
  watch(userId: string, chatId: string, onChange: () => void): () => void {
    const key = keyOf(userId, chatId);
    const watch = this.#watches.get(key) ?? { userId, chatId, listeners: new Set(), known: undefined };
    this.#watches.set(key, watch);
    // A distinct function: the same callback may be registered twice.
    const listener = () => onChange();
    watch.listeners.add(listener);
    return () => {
      watch.listeners.delete(listener);
      if (watch.listeners.size === 0 && this.#watches.get(key) === watch) this.#watches.delete(key);
    };
  }

  /** A notification's payload is the chat's key. */
  heard(key: string): void {
    const watch = this.#watches.get(key);
    if (watch) tell(watch);
  }

  tellAll(): void {
    for (const watch of [...this.#watches.values()]) tell(watch);
  }

  /** Polls all chats in one query and notifies for those that changed. */
  async poll(): Promise<void> {
    if (this.#watches.size === 0) return;
    for (const { userId, chatId, state } of await readChatStates([...this.#watches.values()])) {
      const watch = this.#watches.get(keyOf(userId, chatId));
      if (!watch || watch.known === state) continue;
      watch.known = state;
      tell(watch);
    }
  }
}

function tell({ listeners }: Watch): void {
  for (const listener of [...listeners]) listener();
}

function keyOf(userId: string, chatId: string): string {
  return `${userId} ${chatId}`;
}
