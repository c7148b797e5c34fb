// Subscriptions to turns of a chat starting or ending on any server, e.g. for a page open on a
// second device. Driven by notifications; while none arrive, one query per second polls all watched
// chats.
import { readChatStates } from "@/db/log";

type Subscription = { userId: string; chatId: string; listeners: Set<() => void>; lastState: string | undefined };

export class ChatSubscriptions {
  readonly #subscriptions = new Map<string, Subscription>();

  /** Returns the unsubscribe function. */
  subscribe(userId: string, chatId: string, onChange: () => void): () => void {
    const key = keyOf(userId, chatId);
    const subscription = this.#subscriptions.get(key) ?? { userId, chatId, listeners: new Set(), lastState: undefined };
    this.#subscriptions.set(key, subscription);
    // A distinct function: the same callback may be registered twice.
    const listener = () => onChange();
    subscription.listeners.add(listener);
    return () => {
      subscription.listeners.delete(listener);
      if (subscription.listeners.size === 0 && this.#subscriptions.get(key) === subscription)
        this.#subscriptions.delete(key);
    };
  }

  /** A notification's payload is the chat's key. */
  notify(key: string): void {
    const subscription = this.#subscriptions.get(key);
    if (subscription) notifyListeners(subscription);
  }

  notifyAll(): void {
    for (const watch of [...this.#subscriptions.values()]) notifyListeners(watch);
  }

  /** Polls all chats in one query and notifies for those that changed. */
  async poll(): Promise<void> {
    if (this.#subscriptions.size === 0) return;
    for (const { userId, chatId, state } of await readChatStates([...this.#subscriptions.values()])) {
      const subscription = this.#subscriptions.get(keyOf(userId, chatId));
      if (!subscription || subscription.lastState === state) continue;
      subscription.lastState = state;
      notifyListeners(subscription);
    }
  }
}

function notifyListeners({ listeners }: Subscription): void {
  for (const listener of [...listeners]) listener();
}

function keyOf(userId: string, chatId: string): string {
  return `${userId} ${chatId}`;
}
