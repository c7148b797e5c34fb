// The codex command, unmodified, with the configuration that docs/clients.md names. It cannot resume: it asks again.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { newKey, testCluster } from "@/test/server/cluster";
import { clientsFolder } from "./install";

const cluster = testCluster();
const home = mkdtempSync(path.join(tmpdir(), "rivulet-codex-"));
let proxy: FaultProxy;
beforeAll(async () => {
  proxy = await startFaultProxy(cluster.a.port);
  const provider = `name = "Rivulet"\nbase_url = "${proxy.url}/v1"\nenv_key = "RIVULET_TOKEN"\nwire_api = "responses"\n`;
  const models = 'model = "scripted"\nmodel_provider = "rivulet"\n';
  // Neither searches the web nor starts agents: these are no function tools.
  const tools = 'web_search = "disabled"\n[features]\nmulti_agent = false\n';
  writeFileSync(path.join(home, "config.toml"), `${models}${tools}[model_providers.rivulet]\n${provider}`);
});
afterAll(async () => {
  await proxy.close();
  rmSync(home, { recursive: true, force: true });
});

/** What it prints: its answer, and what it tells beside. */
async function codex(prompt: string, token = cluster.user.token) {
  const options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--ephemeral"];
  const command = path.join(clientsFolder, "node_modules/@openai/codex/bin/codex.js");
  const child = spawn(process.execPath, [command, "exec", ...options, prompt], {
    cwd: home,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: home, CODEX_HOME: home, RIVULET_TOKEN: token },
  });
  const output = { answer: "", beside: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.answer += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.beside += text;
  });
  const [code] = await once(child, "close");
  return { code, ...output };
}

test("codex: runs a command for the model and prints the answer", async () => {
  const key = newKey();
  cluster.provider.on(
    key,
    [{ tool: "exec_command", arguments: ['{"cmd":"echo f', 'ound"}'] }, { finish: "tool_calls" }],
    [{ text: "It was" }, { text: " there." }, { finish: "stop" }],
  );
  const { code, answer, beside } = await codex(key);
  expect([code, answer.trim()], beside).toEqual([0, "It was there."]);
  expect(JSON.stringify((await cluster.provider.request(key, 2)).body)).toContain("found");
});

test("codex: retries when the connection is cut within an answer", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ text: "Half" }, { gate: key }, { hang: true }], [{ text: "Whole." }, { finish: "stop" }]);
  const asked = codex(key);
  await cluster.provider.reached(key);
  proxy.down();
  proxy.up();
  const { code, answer, beside } = await asked;
  expect([code, answer.trim()], beside).toEqual([0, "Whole."]);
});

test("codex: fails for a wrong key", async () => {
  const { code, beside } = await codex("Hello", "wrong");
  expect([code, beside.includes("401")], beside).toEqual([1, true]);
});
