// docs/SSE_STREAMING_API.md shows only tested code: each code block is a file, or a region of one,
// named in the comment above it. examples.test.ts runs the clients, the streams are golden files,
// and the rest runs here.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { agent } from "@/lib/dialects/agent";
import { batchEncoder } from "@/lib/dialects/encode";
import { registry } from "@/lib/dialects/registry";
import type { TurnChunk } from "@/lib/turn/chunks";
import { requirePrograms } from "@/scripts/debian";
import { signUp } from "@/test/server";
import { openStream } from "@/test/sse";
import { newKey, testCluster } from "./cluster";

const cluster = testCluster();
const read = (file: string) => readFileSync(path.resolve(file), "utf8");

/** Dedented and without region markers. */
function shownOf(reference: string): string {
  const [file = "", region] = reference.split("#");
  let text = read(file);
  if (region !== undefined) {
    const found = new RegExp(`^[^\\n]*#? ?region ${region}\\n(.*?)^[^\\n]*# ?endregion`, "ms").exec(text);
    if (!found?.[1]) throw new Error(`${file} has no region ${region}`);
    text = found[1];
  }
  const lines = text.trimEnd().split("\n");
  const indent = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join("\n");
}

const block = /(^<!-- (\S+) -->\n```[^\n]*\n).*?^```$/gms;

/**
 * `npx vitest run --project server test/server/sse-document.test.ts -u` writes the files into the
 * document.
 */
test("each code block is a tested file", async () => {
  const file = path.resolve("docs/SSE_STREAMING_API.md");
  const text = read(file);
  const references = Array.from(text.matchAll(block), ([, , reference]) => reference ?? "");
  expect(references).toHaveLength((text.match(/^```/gm)?.length ?? 0) / 2);
  expect(references.filter((reference) => !/^(examples|test\/golden)\//.test(reference))).toEqual([]);
  const filled = text.replace(block, (_, head: string, reference: string) => `${head}${shownOf(reference)}\n\`\`\``);
  await expect(filled).toMatchFileSnapshot(file);
});

test("the stream with a tool is the encoded golden turn with a shorter result", async () => {
  const turn = JSON.parse(read("test/golden/tool-call.json"), (key, value) => (key === "note" ? undefined : value));
  const logged = (turn as TurnChunk[]).map((chunk, index) => ({ seq: index + 1, chunk, json: JSON.stringify(chunk) }));
  const blocks = batchEncoder(agent, JSON.parse(read("test/golden/context.json")), null)(logged);
  await expect(blocks.join("")).toMatchFileSnapshot(path.resolve("examples/responses/agent-tool.sse"));
});

test("the table of examples/README.md lists every example, and every dialect has one", () => {
  const files = readdirSync("examples").filter((name) => /\.(sh|mjs|py|html|tsx)$/.test(name));
  const rows = read("examples/README.md")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.replaceAll("`", "").trim()));
  expect(rows.map(([, name]) => name).sort()).toEqual(files.sort());
  const shown = rows.filter(([, , dialect]) => dialect !== "–");
  for (const [, name, dialect] of shown) expect(read(`examples/${name}`)).toContain(`\`${dialect}\``);
  expect(new Set(shown.map(([, , dialect]) => dialect))).toEqual(new Set(registry.dialects.map(({ name }) => name)));
});

/** As clients of `.http` files do: request line, headers, an empty line, the body. */
async function sendFile(name: string, values: Record<string, string>): Promise<Response> {
  const filled = read(`examples/requests/${name}.http`)
    .trimEnd()
    .replace(/\{\{(\w+)\}\}/g, (_, key: string) => {
      const value = values[key];
      if (value === undefined) throw new Error(`${name}.http: there is no ${key}`);
      return value;
    });
  const [head = "", body] = filled.split(/\n\n(.*)/s);
  const [request = "", ...headers] = head.split("\n");
  const [method, target] = request.split(" ");
  return fetch(cluster.a.url + target, {
    method,
    redirect: "manual",
    headers: headers.map((line) => line.split(": ") as [string, string]),
    body,
  });
}

/** Masks everything that differs between servers and days. */
function masked(json: unknown): unknown {
  return JSON.parse(
    JSON.stringify(json)
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "an id")
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "a time")
      .replace(/rvl_[\w-]+/g, "a token")
      .replace(/"created(_at)?":\d+/g, '"created$1":0')
      .replace(/"model":"[^"]*"/g, '"model":"a model"'),
  );
}

describe("requests", () => {
  const values: Record<string, string> = {};
  beforeAll(async () => {
    const { token, userId } = await cluster.guest();
    const user = { token, userId };
    const turn = await cluster.send("What is a rivulet?", {}, { user });
    await turn.ended;
    const [cursor, turnId, chatId] = [turn.frames[3]?.id, turn.headers["x-turn-id"], turn.headers["x-chat-id"]];
    const { body } = await cluster.api<{ id: string }>("POST", "/api/chats", { user, body: {} });
    Object.assign(values, { token, userId, cursor, turnId, chatId, sessionId: body.id });
    await signUp(cluster.a.url, { email: "ada@example.com", password: "correct horse battery" });
  });

  const names = readdirSync("examples/requests").map((name) => path.basename(name, ".http"));
  const whole = [
    "agent-whole",
    "content-whole",
    "openai-whole",
    "responses-whole",
    "stop",
    "token",
    "token-messages",
    "turn",
  ];

  test.each(names.filter((name) => !name.startsWith("token-of") && !whole.includes(name)))(
    "%s: a stream",
    async (name) => {
      const answer = await sendFile(name, values);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
      expect(await answer.text()).toMatch(/^: open\n(\n?retry: 1000\n)\n?(.+\n)+/);
    },
  );

  test.each(whole)("%s: an answer in one piece", async (name) => {
    const answer = await sendFile(name, values);
    expect(answer.ok).toBe(true);
    expect(masked(await answer.json())).toEqual(masked(JSON.parse(read(`examples/responses/${name}.json`))));
  });

  test("an account's token", async () => {
    const answer = await sendFile("token-of-account", values);
    expect(answer.status).toBe(201);
    const shown = JSON.parse(read("examples/responses/token.json"));
    expect(Object.keys((await answer.json()) as object)).toEqual(Object.keys(shown));
  });

  test.each(["ai-sdk", "content", "agent", "rag", "openai"])("%s: refused in its own format", async (name) => {
    const answer = await sendFile(name, { ...values, token: "wrong" });
    expect(answer.status).toBe(401);
    const shown = JSON.parse(read(`examples/responses/unauthorized-${name}.json`));
    expect(masked(await answer.json())).toEqual(masked(shown));
  });

  test("the last event's cursor gets 204", async () => {
    const answer = await fetch(`${cluster.a.url}/api/turns/${values.turnId}/stream`, {
      headers: { authorization: `Bearer ${values.token}` },
    });
    const last = /id: (\S+)\n\ndata: \[DONE\]\n\n$/.exec(await answer.text())?.[1] ?? "";
    expect((await sendFile("resume", { ...values, cursor: last })).status).toBe(204);
    expect((await sendFile("resume-by-post", { ...values, cursor: last })).status).toBe(204);
  });
});

/** Proxies as the document configures them, with other addresses. */
describe("proxies", () => {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${kind};`);
  const proxies = [
    {
      name: "nginx",
      config: (port: number) => `
        pid nginx.pid; error_log stderr; events {}
        http { access_log off; ${temporary.join(" ")} ${read("examples/proxies/nginx.conf").replace("80;", `${port};`)} }`,
      check: (file: string) => ["-t", "-q", "-p", path.dirname(file), "-c", file],
      start: (file: string) => ["-p", path.dirname(file), "-c", file, "-g", "daemon off;"],
    },
    {
      name: "caddy",
      config: (port: number) =>
        `{\n\tadmin off\n}\n${read("examples/proxies/Caddyfile").replace("chat.example.com", `http://localhost:${port}`)}`,
      check: (file: string) => ["validate", "--adapter", "caddyfile", "--config", file],
      start: (file: string) => ["run", "--adapter", "caddyfile", "--config", file],
    },
  ];

  beforeAll(() => {
    requirePrograms("nginx", "caddy");
  }, 300_000);

  test.each(proxies)("$name forwards each event immediately", async ({ name, config, check, start }) => {
    const folder = mkdtempSync(path.join(tmpdir(), `rivulet-${name}-`));
    const file = path.join(folder, "config");
    const port = await freePort();
    writeFileSync(file, config(port).replace("127.0.0.1:3000", `localhost:${cluster.a.port}`));
    const env = { PATH: process.env.PATH, HOME: folder, NODE_ENV: "production" as const };
    execFileSync(name, check(file), { env, stdio: "pipe" });
    const proxy = spawn(name, start(file), { env, stdio: "ignore" });
    const gone = once(proxy, "exit");
    try {
      await vi.waitFor(() => fetch(`http://localhost:${port}/health`), { timeout: 60_000 });
      const key = newKey();
      cluster.provider.on(key, [{ text: "One" }, { gate: key }, { text: " two." }, { finish: "stop" }]);
      const stream = await openStream(`http://localhost:${port}/api/v1/chat`, {
        token: cluster.user.token,
        body: { message: key },
        kind: "dialect",
      });
      await stream.until(({ frames }) => frames.length === 1);
      cluster.provider.open(key);
      await stream.until(({ frames }) => frames[1]?.data === '{"type":"content","content":" two."}');
    } finally {
      proxy.kill();
      await gone;
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("vercel.json is valid JSON", () => {
    expect(JSON.parse(read("examples/proxies/vercel.json"))).toMatchObject({ rewrites: expect.any(Array) });
  });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0);
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
