// The provider at its worst, beyond test/server/failure.test.ts: it ends or breaks at every token
// and at any byte, hangs while a user stops the answer, sends garbage; the connection to it is cut,
// stalls or carries single bytes.
import { afterAll, expect, test } from "vitest";
import type { TurnChunk } from "@/lib/turn/chunks";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import type { Script } from "@/test/provider";
import { header, newKey, outline, rawOf, shapes, testCluster, textOf } from "@/test/server/cluster";
import type { EventStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, randomFrom, sized } from "./trial";

const cluster = testCluster();
const tokens = ["One", " zwei", " três", " четыре", " 五", " 🌊"];
const text = tokens.join("");

const lines: FaultProxy[] = [];
afterAll(() => Promise.all(lines.map((proxy) => proxy.close())));

type Ended = { stream: EventStream; state: string; code: string | undefined; key: string };

/**
 * Sends, follows to the end, and checks the invariants: one terminal, and the stored answer equals
 * what was seen.
 */
async function run(model: string, script: Script, server = cluster.a): Promise<Ended> {
  const key = newKey();
  cluster.provider.on(key, script);
  const stream = await cluster.send(key, { model }, { server });
  expect(await stream.ended).toBe("terminal");
  const { status: state, error } = (stream.chunks.at(-2) as Extract<TurnChunk, { type: "data-turn" }>).data;
  const stored = await cluster.answer(header(stream, "x-chat-id"));
  expect(textOf(stored)).toBe(stream.text);
  expect(stored.metadata).toMatchObject({ status: state });
  expect(outline(stream.chunks).at(-1)).toBe(state === "complete" ? "finish" : "error");
  return { stream, state, code: error?.code, key };
}

/** The same process keeps working, in the same chat too. */
async function goesOn(model: string, chatId: string): Promise<void> {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Well again." }, { finish: "stop" }]);
  const stream = await cluster.send(key, { model, chatId });
  expect(await stream.ended).toBe("terminal");
  expect([stream.text, outline(stream.chunks).at(-1)]).toEqual(["Well again.", "finish"]);
}

for (const [shape, model] of shapes)
  test(`I2 I4 I6: provider ends or cuts after each token and inside a frame, ${shape}`, async (context) => {
    const half: Script = [{ raw: 'data: {"id":"half' }];
    let cases = 0;
    for (let count = 0; count <= tokens.length; count += sized(2, 1)) {
      const script: Script = tokens.slice(0, count).map((token) => ({ text: token }));
      for (const end of [[], half, [{ cut: true }], [...half, { cut: true }]] as Script[]) {
        // Before the first token a broken connection is retried, with the SDK's backoff of seconds.
        if (count === 0 && end.some((step) => "cut" in step)) continue;
        const { stream, state, key } = await run(model, [{ headers: true }, ...script, ...end]);
        expect([count, stream.text]).toEqual([count, tokens.slice(0, count).join("")]);
        expect(["failed", "interrupted"]).toContain(state);
        if (count > 0) expect(cluster.requestsFor(key)).toHaveLength(1);
        cases += 1;
      }
    }
    countCases(context, cases);
  });

test.each(shapes)("I11: stop works while the provider hangs, %s", async (_shape, model) => {
  const scripts: Script[] = [
    [{ hang: true }],
    [{ headers: true }, { hang: true }],
    [{ text: "Half" }, { hang: true }],
    [{ text: "Half" }, { raw: 'data: {"id":' }, { hang: true }],
  ];
  for (const script of scripts) {
    const key = newKey();
    cluster.provider.on(key, script);
    const stream = await cluster.send(key, { model });
    const request = await cluster.provider.request(key);
    const seen = script.some((step) => "text" in step) ? "Half" : "";
    await stream.until((now) => now.text === seen);
    const askedAtMs = performance.now();
    const answer = await cluster.api("POST", `/api/chat/${header(stream, "x-chat-id")}/stop`);
    expect(await request.closed).toBe("client");
    expect(performance.now() - askedAtMs).toBeLessThan(underLoad(1_000));
    expect(answer.body).toEqual({ turnId: header(stream, "x-turn-id"), status: "stopped" });
    expect(await stream.ended).toBe("terminal");
    expect([stream.text, outline(stream.chunks).at(-1)]).toEqual([seen, "abort"]);
    await goesOn(model, header(stream, "x-chat-id"));
  }
});

test.each(shapes)(
  "I2 I4 I22: provider sends garbage: earlier text is kept, the process and chat keep working, %s",
  async (_shape, model) => {
    const mebibyte = 1_048_576;
    const garbage: [name: string, Script][] = [
      ["half a character, then the next frame", [{ raw: "646174613a20f09f", encoding: "hex" }, { raw: "\n\n" }]],
      ["bytes that are not UTF-8", [{ raw: "646174613a207b22fffec3280a0a", encoding: "hex" }]],
      ["a NUL as a frame", [{ raw: "data: \0\n\n" }]],
      ["a line of 10 MiB that is not JSON", [{ raw: `data: ${"x".repeat(10 * mebibyte)}\n\n` }]],
      ["megabytes without an end", [{ raw: `data: "${"x".repeat(sized(1, 10) * mebibyte)}` }]],
      ["a frame of another protocol", [{ raw: "HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\nno\n\n" }]],
      ["JSON of another shape", [{ raw: 'data: {"choices":[{"delta":{"content":[{"x":1}]}}],"type":7}\n\n' }]],
    ];
    for (const [name, script] of garbage) {
      const { stream, state } = await run(model, [{ text: "Good" }, ...script]);
      expect([name, stream.text]).toEqual([name, "Good"]);
      expect(["failed", "interrupted"]).toContain(state);
      await goesOn(model, header(stream, "x-chat-id"));
    }
  },
);

test.each(shapes)(
  "I2 I19: accepts unusual but valid streams: UTF-8 split at every byte, NUL, megabytes in one delta, %s",
  async (_shape, model) => {
    const split = await run(model, [...tokens.map((token) => ({ text: token, piece: 1 })), { finish: "stop" }]);
    expect([split.state, split.stream.text]).toEqual(["complete", text]);
    const nul = await run(model, [{ text: "a\0b" }, { text: "\0" }, { finish: "stop" }]);
    expect([nul.state, nul.stream.text]).toEqual(["complete", "a\0b\0"]);
    const large = "0123456789abcdef".repeat(sized(65_536, 655_360));
    const whole = await run(model, [{ text: large }, { finish: "stop" }]);
    expect([whole.state, whole.stream.text.length, whole.stream.text === large]).toEqual([
      "complete",
      large.length,
      true,
    ]);
  },
);

test("I22: one user's failure reveals nothing to another", async () => {
  const secret = `${newKey()} a secret of mine`;
  const other = await cluster.guest();
  cluster.provider.on(secret, [{ text: "Half of " }, { raw: `data: {"echo":"${secret}"\n\n` }]);
  cluster.provider.on("plain", [{ text: "Plain" }, { error: secret }]);
  const mine = await cluster.send(secret);
  const theirs = await cluster.send("plain question", {}, { user: other });
  for (const stream of [mine, theirs]) expect(await stream.ended).toBe("terminal");
  const lists = await Promise.all(
    ["/api/chats", "/api/documents", `/api/turns/${header(mine, "x-turn-id")}`].map((path) =>
      cluster.api("GET", path, { user: other }),
    ),
  );
  for (const body of [rawOf(theirs), ...lists.map((answer) => answer.text)]) expect(body).not.toContain(secret);
});

for (const [shape, model] of shapes)
  test(`I2 I4 I6: the provider connection is cut at any byte, stalls or trickles single bytes, ${shape}`, async (context) => {
    let carried = 0;
    const proxy: FaultProxy = await startFaultProxy(cluster.provider.port, () => ({
      fromClient: () => "pass",
      fromServer(bytes) {
        carried += bytes.length;
        return "pass";
      },
    }));
    lines.push(proxy);
    const server = await cluster.start({
      env: { OPENAI_BASE_URL: `${proxy.url}/v1`, OLLAMA_BASE_URL: `${proxy.url}/v1`, CHUNK_TIMEOUT_MS: "1500" },
    });
    const script: Script = [{ headers: true }, ...tokens.map((token) => ({ text: token })), { finish: "stop" }];
    const uncut = await run(model, script, server);
    expect([uncut.state, uncut.stream.text]).toEqual(["complete", text]);
    const total = carried;
    // New connections only: the open one already has its allowance.
    proxy.down();
    proxy.up();
    const random = randomFrom(4);
    // Cut before the first token, the request is retried after seconds: a few times suffice.
    const places = [
      ...Array.from({ length: sized(0, 8) }, () => 0.3 * random()),
      ...Array.from({ length: sized(8, 200) }, () => 0.4 + 0.6 * random()),
    ];
    for (const place of places) {
      const at = 1 + Math.floor(place * (total - 1));
      proxy.cutAfter(at);
      const { stream, state, key } = await run(model, script, server);
      expect([at, text.startsWith(stream.text)]).toEqual([at, true]);
      // After its finish nothing can be missing.
      if (state === "complete") expect([at, stream.text]).toEqual([at, text]);
      else expect(["failed", "interrupted"]).toContain(state);
      if (stream.text !== "") expect(cluster.requestsFor(key)).toHaveLength(1);
      proxy.down();
      proxy.up();
    }
    proxy.cutAfter(null);
    proxy.piece(1);
    const bytewise = await run(model, script, server);
    expect([bytewise.state, bytewise.stream.text]).toEqual(["complete", text]);
    proxy.piece(null);

    for (const stays of [false, true]) {
      const key = newKey();
      cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { text: " and half" }, { finish: "stop" }]);
      const stream = await cluster.send(key, { model }, { server });
      await stream.until((now) => now.text === "Half");
      proxy.stall(true);
      cluster.provider.open(key);
      // The provider has sent everything, and nothing of it has come through.
      expect(await (await cluster.provider.request(key)).closed).toBe("server");
      expect(stream.text).toBe("Half");
      if (!stays) proxy.stall(false);
      expect(await stream.ended).toBe("terminal");
      proxy.stall(false);
      const expected = stays ? ["Half", "turn failed"] : ["Half and half", "turn complete"];
      expect([stream.text, outline(stream.chunks).at(-2)]).toEqual(expected);
    }
    await server.kill("SIGKILL");
    countCases(context, places.length + 3);
  });
