// The production build with lazily loaded provider packages, and with models listed by servers.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testDatabase } from "@/test/database";
import * as wires from "@/test/provider-wires";
import { newGuest, startServer, type TestServer, type TestUser } from "@/test/server";
import { openStream } from "@/test/sse";
import { messageBody } from "./cluster";

const databaseUrl = testDatabase();

/** By path: Ollama's models, and answers of two providers with stream formats of their own. */
const answers: Record<string, wires.Wire | object> = {
  "/api/tags": { models: [{ name: "llama3.2:latest", digest: "1" }] },
  "/api/ps": { models: [] },
  "/api/show": { capabilities: ["completion"], parameters: "num_ctx 8192" },
  "/v1/messages": wires.anthropic,
  "/model/nova/converse-stream": wires.bedrock,
};
const upstream = createServer((request, response) => {
  const answer = answers[request.url ?? ""];
  if (!answer) return response.writeHead(404).end("{}");
  if ("contentType" in answer && "answer" in answer)
    return response.writeHead(200, { "content-type": String(answer.contentType) }).end(answer.answer);
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
});

let server: TestServer;
let user: TestUser;

beforeAll(async () => {
  await once(upstream.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const env = {
    MODELS: "ollama:*,anthropic:claude-sonnet-5-5,bedrock:nova,local",
    GUESTS: "on",
    OLLAMA_BASE_URL: url,
    ANTHROPIC_API_KEY: "anthropic-key",
    ANTHROPIC_BASE_URL: `${url}/v1`,
    AWS_REGION: "us-east-1",
    AWS_BEARER_TOKEN_BEDROCK: "amazon-key",
    BEDROCK_BASE_URL: url,
  };
  server = await startServer({ databaseUrl: databaseUrl(), env });
  user = await newGuest(server.url);
});
afterAll(async () => {
  await server?.stop();
  upstream.closeAllConnections();
  upstream.close();
});

test("a server's models replace its wildcard, and the first is the default", async () => {
  const headers = { authorization: `Bearer ${user.token}` };
  const { models, default: first } = await (await fetch(`${server.url}/api/models`, { headers })).json();
  expect(models.map(({ id, ready }: { id: string; ready: boolean }) => [id, ready])).toEqual([
    ["ollama:llama3.2", true],
    ["anthropic:claude-sonnet-5-5", true],
    ["bedrock:nova", true],
    ["local", true],
  ]);
  expect([first, models[0].abilities.contextTokens]).toEqual(["ollama:llama3.2", 8192]);
});

test.each(["anthropic:claude-sonnet-5-5", "bedrock:nova"])("%s answers through its own package", async (model) => {
  const stream = await openStream(`${server.url}/api/chat`, {
    token: user.token,
    body: { ...messageBody("Hello", {}), model, searchMode: "none" },
  });
  expect(await stream.ended).toBe("terminal");
  expect(stream.text).toBe("Hello there.");
});
