// Provider failures: docs/protocol.md §4, docs/reliability.md I2, I6, I22. Every failure is named,
// and none reveals what the provider said.
import { expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import type { Script } from "@/test/provider";
import type { EventStream } from "@/test/sse";
import { header, newKey, outline, rawOf, secretKey, shapes, testCluster, textOf } from "./cluster";

const cluster = testCluster({ env: { FIRST_CHUNK_TIMEOUT_MS: "1200", CHUNK_TIMEOUT_MS: "800" } });
const prompt = "prompt-canary-71c0";
const providerWords = "provider-words-canary-5b1e";
/** The SDK waits two seconds before a retry unless the provider names a delay. */
const soon = { "retry-after-ms": "20" };
const requestsFor = (key: string) => cluster.provider.requests.filter((request) => request.prompt.includes(key));

type Ended = { stream: EventStream; state: string; code: string | undefined; key: string };

async function run(model: string, ...scripts: Script[]): Promise<Ended> {
  const key = newKey();
  cluster.provider.on(key, ...scripts);
  const stream = await cluster.send(`${key} ${prompt}`, { model });
  expect(await stream.ended).toBe("terminal");
  const end = stream.chunks.at(-2) as Extract<TurnChunk, { type: "data-turn" }>;
  const { status: state, error } = end.data;
  const chatId = header(stream, "x-chat-id");
  const stored = await cluster.answer(chatId);
  expect(textOf(stored)).toBe(stream.text);
  expect(stored.metadata).toMatchObject({ status: state });
  expect(await cluster.turn(header(stream, "x-turn-id"))).toMatchObject({ status: state });
  const follow = await cluster.api("GET", `/api/turns/${header(stream, "x-turn-id")}`);
  for (const secret of [
    secretKey,
    providerWords,
    prompt,
    `127.0.0.1:${cluster.provider.port}`,
    `:${cluster.provider.port}/`,
  ]) {
    expect(rawOf(stream)).not.toContain(secret);
    expect(follow.text).not.toContain(secret);
    expect(JSON.stringify(stored)).not.toContain(secret);
  }
  return { stream, state, code: error?.code, key };
}

/** Quotes its input, as a provider might. */
const quoting = (status: number, headers = {}): Script => [
  {
    answer: status,
    body: {
      error: {
        message: `${providerWords}: ${secretKey} at ${cluster.provider.url} said ${prompt}`,
        code: providerWords,
      },
    },
    headers,
  },
];

test.each(shapes)("I22: provider 401 is not retried and is reported as such, %s", async (_shape, model) => {
  const { stream, state, code, key } = await run(model, quoting(401));
  expect([state, code]).toEqual(["failed", "provider_auth"]);
  expect(requestsFor(key)).toHaveLength(1);
  expect(outline(stream.chunks).slice(-4)).toEqual(["generate done", "message-metadata", "turn failed", "error"]);
  expect(stream.chunks.at(-2)).toMatchObject({ data: { error: { retryable: false } } });
});

test.each(shapes)("I22: provider 429 and 500 are retried, then reported, %s", async (_shape, model) => {
  for (const status of [429, 500, 503]) {
    const recovered = await run(model, quoting(status, soon), quoting(status, soon), [
      { text: "At last." },
      { finish: "stop" },
    ]);
    expect([recovered.state, recovered.stream.text]).toEqual(["complete", "At last."]);
    expect(requestsFor(recovered.key)).toHaveLength(3);
    const lost = await run(model, quoting(status, soon));
    expect([lost.state, lost.code]).toEqual([
      "failed",
      status === 429 ? "provider_rate_limited" : "provider_unavailable",
    ]);
    expect(requestsFor(lost.key)).toHaveLength(3);
  }
});

test.each(shapes)(
  "I22 I5: provider silence is a timeout before headers, after headers and mid-stream, %s",
  async (_shape, model) => {
    const scripts: [Script, string][] = [
      [[{ hang: true }], ""],
      [[{ headers: true }, { hang: true }], ""],
      [[{ text: "Half" }, { hang: true }], "Half"],
    ];
    const turns = await Promise.all(scripts.map(([script]) => run(model, script)));
    for (const [index, { stream, state, code, key }] of turns.entries()) {
      expect([state, code, stream.text]).toEqual(["failed", "provider_timeout", scripts[index]?.[1]]);
      expect(requestsFor(key)).toHaveLength(1);
      expect(await requestsFor(key)[0]?.closed).toBe("client");
    }
  },
);

test.each(shapes)(
  "I6 I2: an answer that ends early is interrupted at any token, never finished, %s",
  async (_shape, model) => {
    const tokens = ["One", " two", " three", " four"];
    for (const end of [[], [{ cut: true }]] as Script[]) {
      for (const count of end.length > 0 ? [1, 3] : [0, 1, 2, 4]) {
        const script: Script = tokens.slice(0, count).map((text) => ({ text }));
        const { stream, state, code } = await run(model, [{ headers: true }, ...script, ...end]);
        const words = outline(stream.chunks);
        expect(words).not.toContain("finish");
        expect([words.at(-1), stream.text]).toEqual(["error", tokens.slice(0, count).join("")]);
        // A broken socket is a provider failure; a stream that just ends counts as cut off.
        expect([state, code]).toEqual(
          end.length > 0 ? ["failed", "provider_unavailable"] : ["interrupted", "interrupted"],
        );
        const closing = count > 0 ? ["text-end", "finish-step"] : [];
        const ending = [...closing, "generate done", "message-metadata", `turn ${state}`, "error"];
        expect(words.slice(-ending.length)).toEqual(ending);
      }
    }
  },
);

test.each(shapes)("I22 I2: garbage fails the turn and keeps the text before it, %s", async (_shape, model) => {
  const garbage: Script[] = [
    [{ text: "Good" }, { raw: `data: {"${providerWords}\n\n` }, { text: " bad" }, { finish: "stop" }],
    [{ text: "Good" }, { raw: `data: ${"[".repeat(1_000)}\n\n` }, { finish: "stop" }],
    [{ text: "Good" }, { error: `${providerWords} ${secretKey}` }, { finish: "stop" }],
  ];
  for (const script of garbage) {
    const { stream, state, code } = await run(model, script);
    expect(state).toBe("failed");
    expect(code).toMatch(/^provider_/);
    expect(stream.text).toBe("Good");
  }
  const page = await run(model, [{ answer: 200, body: `<html><body>${providerWords} ${secretKey}</body></html>` }]);
  expect(outline(page.stream.chunks)).not.toContain("finish");
  expect(page.stream.text).toBe("");
  const answerless = await run(model, [{ answer: 200, body: { [providerWords]: secretKey } }]);
  expect(outline(answerless.stream.chunks)).not.toContain("finish");
});

test.each(shapes)("a single line of two megabytes arrives whole, %s", async (_shape, model) => {
  const large = "0123456789".repeat(200_000);
  const { stream, state } = await run(model, [{ text: large }, { finish: "stop" }]);
  expect([state, stream.text.length]).toEqual(["complete", large.length]);
  expect(stream.text === large).toBe(true);
});

test("I22: the server's output contains none of the secrets", () => {
  const output = cluster.a.output();
  expect(output).toContain("turn failed");
  for (const secret of [secretKey, providerWords, prompt, `127.0.0.1:${cluster.provider.port}`])
    expect(output).not.toContain(secret);
});

test("I22: LOG_PROVIDER_ERRORS=on logs the provider's error without key or prompt; off by default", async () => {
  const server = await cluster.start({ env: { LOG_PROVIDER_ERRORS: "on" } });
  const key = newKey();
  const message = `Project archived. Key ${secretKey} asked: ${key} please`;
  cluster.provider.on(key, [{ answer: 401, body: { error: { message } } }]);
  for (const each of [server, cluster.a]) await (await cluster.send(key, {}, { server: each })).ended;
  const lines = (output: string) => output.split("\n").filter((line) => line.includes('"msg":"turn failed"'));
  const providerMessages = lines(server.output()).map((line) => JSON.parse(line).provider);
  expect(providerMessages).toEqual([expect.stringMatching(/^Project archived\. Key .*please$/)]);
  expect(providerMessages[0]).not.toContain(key);
  expect(providerMessages[0]).not.toContain(secretKey);
  for (const line of lines(cluster.a.output())) expect(JSON.parse(line)).not.toHaveProperty("provider");
  expect(await server.stop()).toBe(0);
});
