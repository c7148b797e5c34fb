// The commands and invariants of model.test.ts, on two servers and two tabs. The model is the log
// as last seen: each turn's committed chunks. Chunks may only be appended, and none after a
// terminal.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect } from "vitest";
import { type FinalState, isTerminal, type TurnChunk, type TurnState } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { hasState, withoutState } from "@/lib/turn/provider-state";
import { type Cluster, gated, gateOf, header, messageBody, newKey, type TestServer } from "@/test/server/cluster";
import { type EventStream, openStream } from "@/test/sse";

const words = ["One", " two", " three", " four", " five", " six"];
const terminals: Record<FinalState, string> = {
  complete: "finish",
  stopped: "abort",
  failed: "error",
  interrupted: "error",
};

/** The stored chunks of each turn of the chat. */
export type Model = { logs: Map<string, string[]> };

/** A tab has followed at most one turn, over any number of connections. */
type Tab = { turnId: string; stream: EventStream } | null;
type Command = fc.AsyncCommand<Model, Conversation>;

/** The servers' addresses, also while one of them restarts. */
export class Servers {
  readonly #cluster: Cluster;
  readonly #up: Promise<TestServer>[];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#up = [Promise.resolve(cluster.a), Promise.resolve(cluster.b)];
  }

  get(index: number): Promise<TestServer> {
    return this.#up[index] as Promise<TestServer>;
  }

  /** The other server stays up. */
  async kill(index: number): Promise<void> {
    const server = await this.get(index);
    await server.kill("SIGKILL");
    this.#up[index] = this.#cluster.start({ port: server.port });
  }

  async end(): Promise<void> {
    for (const server of await Promise.all(this.#up)) await server.kill("SIGKILL");
  }
}

export class Conversation {
  readonly cluster: Cluster;
  readonly servers: Servers;
  chatId = randomUUID();
  tabs: [Tab, Tab] = [null, null];
  #lastSend: { text: string; messageId: string; turnId: string } | null = null;
  /** The provider waits after this many words. */
  #opened = 0;
  #key = "";

  constructor(cluster: Cluster, servers: Servers) {
    this.cluster = cluster;
    this.servers = servers;
  }

  async open(index: number, path: string, options: Parameters<typeof openStream>[1] = {}): Promise<EventStream> {
    const { url } = await this.servers.get(index);
    return openStream(url + path, { token: this.cluster.user.token, ...options });
  }

  async call<T>(index: number, method: string, path: string) {
    return this.cluster.api<T>(method, path, { server: await this.servers.get(index) });
  }

  /**
   * Sends a new question, or what `again` asks for: refused while a turn of the chat runs,
   * otherwise answered.
   */
  async ask(tab: number, server: number, again?: { trigger: string }): Promise<void> {
    const runningBefore = await this.#running();
    const [text, messageId] = [newKey(), randomUUID()];
    if (!again) this.cluster.provider.on(text, gated(text, words));
    const body = again ? { id: this.chatId, ...again } : messageBody(text, { chatId: this.chatId, messageId });
    const stream = await this.open(server, "/api/chat", { body: { searchMode: "none", ...body } });
    if (stream.status === 409) {
      expect(JSON.parse(stream.body)).toMatchObject({ error: { code: "turn_running", turnId: runningBefore } });
      return;
    }
    if (again && stream.status !== 200) {
      // Nothing to answer again, or an answer that cannot be continued.
      expect([400, 404]).toContain(stream.status);
      const states = await this.#states();
      const last = states.at(-1);
      if (last) expect([again.trigger, last.state]).toEqual(["continue-message", "complete"]);
      return;
    }
    expect(stream.status).toBe(200);
    const turnId = header(stream, "x-turn-id");
    if (runningBefore) expect(await this.#running()).not.toBe(runningBefore);
    if (!again) {
      this.#lastSend = { text, messageId, turnId };
      this.#key = text;
      this.#opened = 0;
    }
    this.#follow(tab, turnId, stream);
  }

  /** Repeats the same send: it must get the same turn, whatever its state. */
  async repeat(tab: number, server: number): Promise<void> {
    const sent = this.#lastSend;
    if (!sent) return;
    const stream = await this.open(server, "/api/chat", {
      body: { searchMode: "none", ...messageBody(sent.text, { chatId: this.chatId, messageId: sent.messageId }) },
    });
    expect([stream.status, header(stream, "x-turn-id")]).toEqual([200, sent.turnId]);
    this.#follow(tab, sent.turnId, stream);
  }

  /** The provider emits `count` more words, or all that are left. */
  say(count: number): void {
    for (let word = 0; word < count && this.#opened < words.length; word++) {
      this.cluster.provider.open(gateOf(this.#key, this.#opened));
      this.#opened += 1;
    }
  }

  cut(tab: number): void {
    this.tabs[tab]?.stream.close();
  }

  async resume(tab: number, server: number): Promise<void> {
    const open = this.tabs[tab];
    if (!open) return;
    open.stream.close();
    const stream = await this.open(server, `/api/turns/${open.turnId}/stream`, { after: open.stream });
    expect([200, 204]).toContain(stream.status);
    this.tabs[tab] = { turnId: open.turnId, stream };
  }

  async stop(server: number): Promise<void> {
    const { status, body } = await this.call<{ turnId: string | null; status: TurnState | null }>(
      server,
      "POST",
      `/api/chat/${this.chatId}/stop`,
    );
    const states = await this.#states();
    if (status === 404) return expect(states).toEqual([]);
    expect([status, body]).toEqual([200, { turnId: states.at(-1)?.id, status: states.at(-1)?.state }]);
    expect(body.status).not.toBe("running");
  }

  async delete(server: number): Promise<void> {
    const known = await this.#states();
    const { status } = await this.call(server, "DELETE", `/api/chats/${this.chatId}`);
    expect(status).toBe(known.length > 0 ? 204 : 404);
    for (const { id } of known) {
      const gone = await this.call(server, "GET", `/api/turns/${id}/stream`);
      expect(gone.status).toBe(404);
    }
    for (const tab of this.tabs) tab?.stream.close();
    this.tabs = [null, null];
    this.#lastSend = null;
    this.chatId = randomUUID();
  }

  /** Tabs first: what they hold now must be in the log, which is read afterwards. */
  async check(model: Model): Promise<void> {
    const held = this.tabs.map((tab) => tab && { turnId: tab.turnId, data: dataOf(tab.stream) });
    const logs = await this.#logs();
    for (const [turnId, before] of model.logs) {
      if (!logs.has(turnId)) continue;
      const now = logs.get(turnId) as string[];
      expect(now.slice(0, before.length)).toEqual(before);
      if (before.some(endsTurn)) expect(now).toEqual(before);
    }
    for (const log of logs.values()) expect(log.findIndex(endsTurn)).toBe(log.some(endsTurn) ? log.length - 1 : -1);
    for (const tab of held)
      if (tab) expect(shownOf(logs.get(tab.turnId) ?? []).slice(0, tab.data.length)).toEqual(tab.data);
    model.logs = logs;
  }

  /**
   * Emits everything and reconnects each tab until it has the end; all stored data must then agree.
   */
  async finish(model: Model): Promise<void> {
    this.say(words.length);
    for (const index of [0, 1]) {
      while (this.tabs[index]) {
        const { stream } = this.tabs[index];
        const last = stream.chunks.at(-1);
        if (last && isTerminal(last)) break;
        await this.resume(index, index);
        await this.tabs[index].stream.ended;
      }
    }
    while (await this.#running()) await new Promise((resolve) => setTimeout(resolve, 20));
    await this.check(model);
    for (const tab of this.tabs) if (tab) expect(dataOf(tab.stream)).toEqual(shownOf(model.logs.get(tab.turnId) ?? []));
    for (const { id, state, messageId, continues } of await this.#states()) {
      const chunks = (model.logs.get(id) ?? []).map((json) => JSON.parse(json) as TurnChunk);
      expect(chunks.at(-1)?.type).toBe(terminals[state as FinalState]);
      const [row] = await this.cluster.sql`select parts, metadata, status, text from messages where id = ${messageId}`;
      const folded = JSON.parse(JSON.stringify(await foldChunks(chunks)));
      expect(row).toMatchObject({ status: state, parts: folded.parts, metadata: folded.metadata });
      if (continues) continue;
      expect(words.join("").startsWith(row?.text)).toBe(true);
      if (state === "complete") expect(row?.text).toBe(words.join(""));
    }
  }

  #follow(tab: number, turnId: string, stream: EventStream): void {
    this.tabs[tab]?.stream.close();
    this.tabs[tab] = { turnId, stream };
  }

  /** The chat's turns in start order. */
  async #states(): Promise<{ id: string; state: TurnState; messageId: string; continues: string | null }[]> {
    return this.cluster.sql`
      select id, state, message_id as "messageId", request->>'continues' as continues from turns
      where user_id = ${this.cluster.user.userId} and chat_id = ${this.chatId} order by created_at, id`;
  }

  async #running(): Promise<string | undefined> {
    return (await this.#states()).find(({ state }) => state === "running")?.id;
  }

  async #logs(): Promise<Map<string, string[]>> {
    const rows = await this.cluster.sql`
      select id, array(select chunk::text from turn_chunks where turn_id = turns.id order by seq) as chunks from turns
      where user_id = ${this.cluster.user.userId} and chat_id = ${this.chatId}`;
    return new Map(rows.map(({ id, chunks }) => [id as string, chunks as string[]]));
  }
}

function dataOf({ frames }: EventStream): string[] {
  return frames.flatMap(({ data, id }) => (id === undefined ? [] : [data]));
}

/** A log as readers get it: without data only the model's provider can read. */
function shownOf(log: string[]): string[] {
  return log.map((json) => {
    const chunk = JSON.parse(json) as TurnChunk;
    return hasState(chunk) ? JSON.stringify(withoutState(chunk)) : json;
  });
}

function endsTurn(json: string): boolean {
  return isTerminal(JSON.parse(json) as TurnChunk);
}

const tab = fc.nat({ max: 1 });
const server = fc.nat({ max: 1 });

/** Weighted by repetition. */
export function commands(): fc.Arbitrary<Command>[] {
  const send = fc.tuple(tab, server).map((on) => command(`send ${on}`, (real) => real.ask(...on)));
  const say = fc.integer({ min: 1, max: 3 }).map((count) => command(`say ${count}`, async (real) => real.say(count)));
  const cut = tab.map((on) => command(`cut ${on}`, async (real) => real.cut(on)));
  const resume = fc.tuple(tab, server).map((on) => command(`resume ${on}`, (real) => real.resume(...on)));
  return [
    ...[send, send, say, say, say, cut, resume, resume],
    fc.tuple(tab, server).map((on) => command(`repeat ${on}`, (real) => real.repeat(...on))),
    server.map((on) => command(`stop ${on}`, (real) => real.stop(on))),
    server.map((on) => command(`kill ${on}`, (real) => real.servers.kill(on))),
    ...["regenerate-message", "continue-message"].map((trigger) =>
      fc.tuple(tab, server).map((on) => command(`${trigger} ${on}`, (real) => real.ask(...on, { trigger }))),
    ),
    server.map((on) => command(`delete ${on}`, (real) => real.delete(on))),
  ];
}

function command(name: string, act: (real: Conversation) => Promise<void>): Command {
  return {
    check: () => true,
    async run(model, real) {
      await act(real);
      await real.check(model);
    },
    toString: () => name,
  };
}
