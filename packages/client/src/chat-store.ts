// A conversation's state on top of the chat client, with subscribers, in the shape React's
// useSyncExternalStore takes. No React here.
import { v4 as uuidv4 } from "uuid";
import type { Answer } from "./answer.ts";
import type { ChatClient } from "./chat-client.ts";
import { type ChatEvent, type ChatSource, isEnd } from "./chat-events.ts";
import type { Question } from "./client-dialect.ts";
import { RequestError } from "./request.ts";

export type ToolCall = { id: string; name: string; arguments: unknown; result?: unknown; done: boolean };

export type ChatStoreMessage = {
  id: string;
  role: "user" | "assistant";
  text: string;
  /** How an answer ended; absent for questions. */
  end?: "done" | "stopped" | "error";
  sources?: ChatSource[];
  toolCalls?: ToolCall[];
};

export type ChatState = {
  /** Oldest first. A running answer is not included: see `streamedText`. */
  messages: ChatStoreMessage[];
  /** Progress message; null if there is none. */
  status: string | null;
  /** Of the running answer, else the last one. */
  sources: ChatSource[];
  toolCalls: ToolCall[];
  isStreaming: boolean;
  streamedText: string;
  /** Why the last question was refused or its answer failed. */
  error: { code?: string | undefined; message: string } | null;
};

export type ChatStore = {
  getSnapshot(): ChatState;
  subscribe(listener: () => void): () => void;
  /**
   * Resolves when the answer has ended; failures are in the state. Throws while another answer is
   * running.
   */
  send(text: string, options?: Omit<Question, "text" | "chat">): Promise<void>;
  /** Stops the answer on the server and keeps what has arrived. Resolves once that is stored. */
  cancel(): Promise<void>;
  /** Asks the last question again; one that may not have arrived is never asked twice. */
  retry(): Promise<void>;
  /** Closes the connection; the answer continues on the server. */
  leave(): void;
};

const initialState: ChatState = {
  messages: [],
  status: null,
  sources: [],
  toolCalls: [],
  isStreaming: false,
  streamedText: "",
  error: null,
};

/** `chat`: the chat to use; undefined: the first question creates one. */
export function createChatStore(client: ChatClient, { chat }: { chat?: Question["chat"] } = {}): ChatStore {
  const listeners = new Set<() => void>();
  let state = initialState;
  let chatId = chat;
  let last: { question: Omit<Question, "chat">; key: string; arrived: boolean } | undefined;
  let answer: Answer | undefined;
  let reading = new AbortController();

  const set = (change: Partial<ChatState>) => {
    state = { ...state, ...change };
    for (const listener of listeners) listener();
  };

  async function ask(question: Omit<Question, "chat">, key: string): Promise<void> {
    const { signal } = reading;
    last = { question, key, arrived: false };
    set({ isStreaming: true, streamedText: "", status: null, sources: [], toolCalls: [], error: null });
    const current = client.send({ ...question, chat: chatId }, { key, signal });
    answer = current;
    let answerId = `${key}-answer`;
    try {
      for await (const event of current) {
        last.arrived = true;
        if (event.type === "metadata") answerId = event.metadata.messageId ?? answerId;
        set(stateChangeOf(event, state));
        if (isEnd(event)) keep(answerId, event.type);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof RequestError)) throw error;
      keep(answerId, "error");
      set({ error: { code: error.code, message: error.message } });
    } finally {
      chatId = current.chatId ?? chatId;
      if (answer === current) answer = undefined;
      if (!signal.aborted) set({ isStreaming: false, status: null });
    }
  }

  /** Turns the answer into a message, even if it broke off; an empty one is dropped. */
  function keep(id: string, end: ChatStoreMessage["end"]): void {
    const { messages, streamedText: text, sources, toolCalls } = state;
    const message: ChatStoreMessage = { id, role: "assistant", text, end, sources, toolCalls };
    const isEmpty = !text && toolCalls.length === 0 && end !== "done";
    set({ messages: isEmpty ? messages : [...messages, message], streamedText: "" });
  }

  return {
    getSnapshot: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async send(text, options = {}) {
      if (state.isStreaming) throw new Error("An answer is in progress. Wait for it to end, or cancel it.");
      const key = uuidv4();
      set({ messages: [...state.messages, { id: key, role: "user", text }] });
      await ask({ ...options, text }, key);
    },
    async cancel() {
      await answer?.stop();
    },
    async retry() {
      if (!last || state.isStreaming) return;
      // A new answer replaces the failed one.
      if (state.messages.at(-1)?.role === "assistant") set({ messages: state.messages.slice(0, -1) });
      const key = last.arrived ? uuidv4() : last.key;
      await ask(last.question, key);
    },
    leave() {
      reading.abort();
      reading = new AbortController();
      answer = undefined;
      state = { ...state, isStreaming: false, status: null };
    },
  };
}

function stateChangeOf(
  event: ChatEvent,
  { streamedText, sources, toolCalls, messages }: ChatState,
): Partial<ChatState> {
  switch (event.type) {
    case "text":
      return { streamedText: streamedText + event.delta };
    case "status":
      return { status: event.done ? null : event.label };
    case "sources":
      return { sources: [...sources, ...event.sources] };
    case "tool-call":
      return { toolCalls: [...toolCalls, { id: event.id, name: event.name, arguments: event.arguments, done: false }] };
    case "tool-result":
      return {
        toolCalls: toolCalls.map((call) =>
          call.id === event.id ? { ...call, result: event.result, done: true } : call,
        ),
      };
    case "history":
      // The server's history is complete; only details of this page's own answers are added.
      return {
        messages: event.messages.map((stored) => ({ ...messages.find(({ id }) => id === stored.id), ...stored })),
      };
    case "error":
      return { error: { code: event.code, message: event.message } };
    default:
      return {};
  }
}
