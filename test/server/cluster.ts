// The environment of the tests in this folder: the real production server, one or two on one
// database, with a scripted provider, over real HTTP. Of lib/, only types and pure functions run in
// the test process.
import { randomUUID } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll } from "vitest";
import type { ChatMessage, TurnChunk, TurnState } from "@/lib/turn/chunks";
import { testDatabase } from "@/test/database";
import { leakWatch, promptCanary } from "@/test/leaks";
import { type Provider, type Script, startProvider } from "@/test/provider";
import { newGuest, startServer, type TestServer, type TestUser } from "@/test/server";
import { type EventStream, openStream } from "@/test/sse";

export type { TestServer, TestUser };

/** The first bytes of every stream, before its first block. */
export const opening = ": open\nretry: 1000\n";
/** The scripted provider's models, by the API used to call it. */
export const shapes = [
  ["responses", "openai:scripted"],
  ["chat", "ollama:scripted"],
] as const;
/** May leave the server only towards the provider. */
export const secretKey = "sk-canary-4f9b2d7e";

export type Answer<T = unknown> = { status: number; headers: Headers; text: string; body: T };
export type TurnInfo = {
  turnId: string;
  chatId: string;
  messageId: string;
  status: TurnState;
  error?: { code: string };
};

type Send = {
  chatId?: string;
  messageId?: string;
  model?: string;
  searchMode?: string;
  documentIds?: string[];
  headers?: Record<string, string>;
};

type StartOptions = Partial<Omit<Parameters<typeof startServer>[0], "dataDir">>;

export class Cluster {
  a!: TestServer;
  /** Only with `servers: 2`. */
  b!: TestServer;
  provider!: Provider;
  sql!: postgres.Sql;
  /** A guest; tests that look at lists or documents create their own. */
  user!: TestUser;
  databaseUrl!: string;
  readonly #env: Record<string, string>;

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  async begin(databaseUrl: string, servers: 0 | 1 | 2): Promise<void> {
    this.databaseUrl = databaseUrl;
    this.provider = await startProvider();
    this.sql = postgres(databaseUrl, { max: 2, onnotice: () => {} });
    if (servers === 0) return;
    this.a = await this.start();
    if (servers === 2) this.b = await this.start();
    this.user = await this.guest();
  }

  async end(): Promise<void> {
    await this.provider?.close();
    await Promise.all([this.a?.kill("SIGKILL"), this.b?.kill("SIGKILL")]);
    await this.sql?.end();
  }

  start({ port, env, ...options }: StartOptions = {}): Promise<TestServer> {
    return startServer({
      databaseUrl: this.databaseUrl,
      port,
      ...options,
      env: {
        MODELS: "openai:scripted,ollama:scripted,local",
        OPENAI_BASE_URL: this.provider.url,
        OPENAI_API: "responses",
        OPENAI_API_KEY: secretKey,
        OLLAMA_BASE_URL: this.provider.url,
        ...this.#env,
        ...env,
      },
    });
  }

  /** A new user without documents. */
  async guest(server = this.a): Promise<TestUser> {
    const user = await newGuest(server.url);
    const { body } = await this.api<{ documents: { id: string }[] }>("GET", "/api/documents", { user, server });
    await Promise.all(body.documents.map(({ id }) => this.api("DELETE", `/api/documents/${id}`, { user, server })));
    return user;
  }

  /** Sends a message and follows the answer. */
  send(text: string, { headers, ...options }: Send = {}, { user = this.user, server = this.a } = {}) {
    return openStream(`${server.url}/api/chat`, {
      token: user.token,
      headers,
      body: messageBody(text, options),
    });
  }

  async api<T = unknown>(
    method: string,
    path: string,
    { body, headers, user = this.user, server = this.a }: ApiOptions = {},
  ): Promise<Answer<T>> {
    const answer = await fetch(server.url + path, {
      method,
      redirect: "manual",
      headers: {
        authorization: `Bearer ${user.token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    return readAnswer<T>(answer);
  }

  async messages(chatId: string, options: ApiOptions = {}): Promise<ChatMessage[]> {
    return (await this.api<{ messages: ChatMessage[] }>("GET", `/api/chats/${chatId}/messages`, options)).body.messages;
  }

  /** The chat's last answer as stored. */
  async answer(chatId: string, options: ApiOptions = {}): Promise<ChatMessage> {
    return (await this.messages(chatId, options)).at(-1) as ChatMessage;
  }

  async turn(turnId: string, options: ApiOptions = {}): Promise<TurnInfo> {
    return (await this.api<TurnInfo>("GET", `/api/turns/${turnId}`, options)).body;
  }

  /** Follows a turn from its start. */
  follow(turnId: string, { user = this.user, server = this.a } = {}): Promise<EventStream> {
    return openStream(`${server.url}/api/turns/${turnId}/stream`, { token: user.token });
  }

  /** A turn whose reader has the first `count` tokens; its provider waits at the next gate. */
  async runningTurn(tokens: string[], count: number, { chatId, user, server }: Running = {}) {
    const key = newKey();
    this.provider.on(key, gated(key, tokens));
    const stream = await this.send(key, { chatId }, { user, server });
    await this.walk(stream, key, tokens, count - 2);
    await stream.until(({ text }) => text === tokens.slice(0, count).join(""));
    return { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
  }

  /** Provider requests with this key in the prompt. */
  requestsFor(key: string): Provider["requests"] {
    return this.provider.requests.filter(({ prompt }) => prompt.includes(key));
  }

  /**
   * Opens the gates of `gated` one by one, up to and including `to`, each once the reader has seen
   * everything before it.
   */
  async walk(stream: EventStream, key: string, tokens: string[], to = tokens.length - 1): Promise<void> {
    for (let index = 0; index <= to; index++) {
      const seen = tokens.slice(0, index + 1).join("");
      await stream.until(({ text }) => text.length >= seen.length);
      this.provider.open(gateOf(key, index));
    }
  }
}

type Running = { chatId?: string; user?: TestUser; server?: TestServer };
type ApiOptions = { body?: unknown; headers?: Record<string, string>; user?: TestUser; server?: TestServer };

/** Call at the top of a test file. */
export function testCluster({
  servers = 1,
  env = {},
}: {
  servers?: 0 | 1 | 2;
  env?: Record<string, string>;
} = {}): Cluster {
  const cluster = new Cluster(env);
  const url = testDatabase();
  beforeAll(() => cluster.begin(url(), servers), 120_000);
  afterAll(() => cluster.end());
  return cluster;
}

export async function readAnswer<T>(answer: Response): Promise<Answer<T>> {
  const text = await answer.text();
  leakWatch("answer", answer.url)(text);
  const json = answer.headers.get("content-type")?.startsWith("application/json");
  return { status: answer.status, headers: answer.headers, text, body: (json ? JSON.parse(text) : undefined) as T };
}

export function messageBody(text: string, { chatId = randomUUID(), messageId = randomUUID(), ...options }: Send = {}) {
  return { id: chatId, message: { id: messageId, role: "user", parts: [{ type: "text", text }] }, ...options };
}

let keys = 0;
/** Identifies one exchange with the provider; part of the prompt. */
export function newKey(): string {
  keys += 1;
  return `key${keys}x${promptCanary}`;
}

/** Each token is followed by a gate that holds back the next one. */
export function gated(key: string, tokens: string[]): Script {
  return [...tokens.flatMap((text, index) => [{ text }, { gate: gateOf(key, index) }]), { finish: "stop" }];
}

export function gateOf(key: string, index: number): string {
  return `${key} gate ${index}`;
}

export function header(stream: EventStream, name: "x-turn-id" | "x-chat-id"): string {
  const value = stream.headers[name];
  if (typeof value !== "string") throw new Error(`No ${name}; status ${stream.status} ${stream.body}`);
  return value;
}

/**
 * A server's warnings and errors, line by line. A blocked event loop is ignored: it means that the
 * machine is busy.
 */
export function complaintsOf(server: TestServer): string[] {
  const isComplaint = (line: string) =>
    /"level":"(warn|error|fatal)"/.test(line) && !line.includes("the event loop was blocked");
  return server.output().split("\n").filter(isComplaint);
}

/** Every byte of the body. */
export function rawOf(stream: EventStream): string {
  return Buffer.concat(stream.bytes.map(({ bytes }) => bytes)).toString("utf8");
}

/** The data blocks of a raw body, each with its end. */
export function blocksOf(raw: string): string[] {
  return raw
    .replace(/^(?::|retry:).*\n/gm, "")
    .split(/(?<=\n\n)/)
    .filter(Boolean);
}

/** Likewise for a whole stream: two readers of one turn must agree on it byte for byte. */
export function eventBytesOf(stream: EventStream): string {
  return blocksOf(rawOf(stream)).join("");
}

export function idOf(block: string): string | undefined {
  return /^id: (.*)$/m.exec(block)?.[1];
}

export function textOf(message: ChatMessage | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
}

/** A one- or two-word summary per chunk; repeats are collapsed. */
export function outline(chunks: TurnChunk[]): string[] {
  const words = chunks.map((chunk) => {
    if (chunk.type === "data-turn") return `turn ${chunk.data.status}`;
    if (chunk.type === "data-status") return `${chunk.data.stage} ${chunk.data.state}`;
    return chunk.type;
  });
  return words.filter((word, index) => word !== words[index - 1]);
}

export function median(values: number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
