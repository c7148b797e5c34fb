// Answers that the provider makes in the background, begun on one server and finished by another one.
import { expect } from "vitest";
import type { Provider, Script } from "@/test/provider";
import { type Cluster, header, newKey, type TestServer, textOf } from "@/test/server/cluster";
import { openStream } from "@/test/sse";
import { randomFrom } from "./trial";

const turnsPerKill = 4;
const isTerminal = "('finish', 'abort', 'error')";

/** Reasoning, then text, slowly enough to leave room for a kill. */
export function answerOf(random: () => number): { text: string; script: Script } {
  const text = Array.from({ length: 60 + Math.floor(random() * 60) }, (_, index) => `word${index}`).join(" ");
  const perSecond = 50 + random() * 100;
  return {
    text,
    script: [{ reasoning: "Let me think." }, { tokens: text, perSecond }, { finish: "stop" }],
  };
}

export class BackgroundTurns {
  readonly #cluster: Cluster;
  readonly #provider: () => Provider;

  /** `provider`: the scripted one at the end of the line. */
  constructor(cluster: Cluster, provider: () => Provider) {
    this.#cluster = cluster;
    this.#provider = provider;
  }

  async begin(server: TestServer, script: Script) {
    const key = newKey();
    this.#provider().on(key, script);
    const stream = await this.#cluster.send(key, { searchMode: "none", model: "openai:scripted" }, { server });
    return { key, stream, turnId: header(stream, "x-turn-id"), chatId: header(stream, "x-chat-id") };
  }

  /** Complete in one stream and in the history, and the model was asked once. */
  async expectWhole(turn: Awaited<ReturnType<BackgroundTurns["begin"]>>, text: string, survivor: TestServer) {
    const cluster = this.#cluster;
    const moved = await openStream(`${survivor.url}/api/turns/${turn.turnId}/stream`, {
      token: cluster.user.token,
      after: turn.stream,
    });
    if (moved.status !== 204) expect(await moved.ended).toBe("terminal");
    expect(moved.text).toBe(text);
    expect(moved.chunks.at(-1)?.type).toBe("finish");
    // The response's id at the provider stays on the server.
    expect(moved.frames.some(({ data }) => data.includes("resp_"))).toBe(false);
    const answer = await cluster.answer(turn.chatId, { server: survivor });
    expect(textOf(answer)).toBe(text);
    expect(answer.parts.filter(({ type }) => type === "reasoning")).toMatchObject([{ text: "Let me think." }]);
    expect(answer.metadata).toMatchObject({ turnId: turn.turnId, status: "complete" });
    expect(this.#provider().requests.filter(({ prompt }) => prompt.includes(turn.key))).toHaveLength(1);
    const rows = await cluster.sql.unsafe(
      `select 1 from turn_chunks where turn_id = '${turn.turnId}' and chunk->>'type' in ${isTerminal}`,
    );
    expect(rows).toHaveLength(1);
  }

  /**
   * Kills the owner of several turns somewhere in their answers. `honoursKeys`: the provider returns the same answer for
   * the same Idempotency-Key, so an answer may also be one whose id was never logged.
   */
  async surviveKill(number: number, { honoursKeys }: { honoursKeys: boolean }): Promise<void> {
    const cluster = this.#cluster;
    const random = randomFrom(number);
    const [name, other] = number % 2 === 1 ? (["a", "b"] as const) : (["b", "a"] as const);
    const dying = cluster[name];
    const turns = await Promise.all(
      Array.from({ length: turnsPerKill }, async () => {
        const { text, script } = answerOf(random);
        return { text, turn: await this.begin(dying, script) };
      }),
    );
    if (!honoursKeys)
      await Promise.all(
        turns.map(({ turn }) =>
          turn.stream.until(({ chunks }) => chunks.some(({ type }) => type === "reasoning-start")),
        ),
      );
    const aim = Math.floor(random() * 300);
    await Promise.race(turns.map(({ turn }) => turn.stream.until(({ text }) => text.length >= aim)));
    await dying.kill("SIGKILL");
    try {
      for (const { turn, text } of turns) {
        await turn.stream.ended;
        await this.expectWhole(turn, text, cluster[other]);
      }
    } finally {
      cluster[name] = await cluster.start({ port: dying.port });
    }
  }
}
