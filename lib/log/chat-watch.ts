// Who wants to be told that a turn of a chat began or ended, on whichever server: a page that is open on a second device.
// Notifications tell; while none arrive, one query a second asks for all chats together.
import { readChatStates } from "@/db/log";

type Watch = { userId: string; chatId: string; listeners: Set<() => void>; known: string | undefined };

export class ChatWatch {
  readonly #watches = new Map<string, Watch>();

  /** Returns how to stop. */
  watch(userId: string, chatId: string, onChange: () => void): () => void {
    const key = keyOf(userId, chatId);
    const watch = this.#watches.get(key) ?? { userId, chatId, listeners: new Set(), known: undefined };
    this.#watches.set(key, watch);
    // A function of its own: the same one may be given twice.
    const listener = () => onChange();
    watch.listeners.add(listener);
    return () => {
      watch.listeners.delete(listener);
      if (watch.listeners.size === 0 && this.#watches.get(key) === watch) this.#watches.delete(key);
    };
  }

  /** The payload of a notification is the chat's key. */
  heard(key: string): void {
    const watch = this.#watches.get(key);
    if (watch) tell(watch);
  }

  tellAll(): void {
    for (const watch of [...this.#watches.values()]) tell(watch);
  }

  /** Asks once for all chats, and tells of those that are not as they were. */
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
