// The contenders, each a separate process: the provider itself, a bare relay, the AI SDK's
// quickstart, and Rivulet as `npm start` runs it. Where possible the server under test has its own
// core; everything else shares the others.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { childrenOf } from "./figures.ts";
import type { Target } from "./load.ts";

export type Contender = {
  name: string;
  label: string;
  pid: number;
  /** Its database, to measure its cost and commit rate. */
  database?: { pid: number; sql: postgres.Sql };
  target: Target;
};

/** Numbering a user's new chats serializes their creation; this many users avoid that wait. */
const users = 100;
const cores = availableParallelism();
export const pinned =
  !process.argv.includes("--unpinned") && cores > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0;
const serverCore = "0";
const otherCores = cores > 2 ? `1-${cores - 1}` : "1";

const running: ChildProcess[] = [];
const temporary: string[] = [];

/** A Node process on these cores; it ends with this one. */
export function startNode(argv: string[], env: Record<string, string> = {}, { server = false } = {}): ChildProcess {
  const command = [process.execPath, "--import", "./scripts/parent.mjs", ...argv];
  if (pinned) command.unshift("taskset", "-c", server ? serverCore : otherCores);
  const child = spawn(command[0] as string, command.slice(1), {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", ...env },
  });
  running.push(child);
  return child;
}

export async function startProvider(): Promise<{ contender: Contender; process: ChildProcess }> {
  const child = startNode(["bench/provider.ts"]);
  const port = await portOf(child);
  const contender = { name: "a", label: "the provider itself", pid: pidOf(child), target: completions(port) };
  return { contender, process: child };
}

export async function startRelay(providerPort: number): Promise<Contender> {
  const child = startNode(["bench/relay.ts", String(providerPort)], {}, { server: true });
  const port = await portOf(child);
  const contender = { name: "b", label: "bare node:http relay", pid: pidOf(child), target: completions(port) };
  return contender;
}

export async function startQuickstart(providerPort: number): Promise<Contender> {
  const argv = ["node_modules/next/dist/bin/next", "start", "bench/quickstart", "-p", "0", "-H", "127.0.0.1"];
  const env = { NODE_ENV: "production", OPENAI_BASE_URL: `http://127.0.0.1:${providerPort}/v1` };
  const child = startNode(argv, env, { server: true });
  const port = await portOf(child);
  const target = {
    port,
    path: "/api/chat",
    headers: {},
    body: JSON.stringify({
      id: "{uuid}",
      trigger: "submit-message",
      messages: [{ id: "{uuid}", role: "user", parts: [{ type: "text", text: "{prompt}" }] }],
    }),
  };
  return { name: "c", label: "AI SDK quickstart in Next", pid: pidOf(child), target };
}

export async function startRivulet(providerPort: number): Promise<Contender> {
  const dataDir = mkdtempSync(path.join(tmpdir(), "rivulet-bench-"));
  temporary.push(dataDir);
  const launcher = startNode(["scripts/start.ts"], {
    PORT: "0",
    HOST: "127.0.0.1",
    DATA_DIR: dataDir,
    DATABASE_URL: "",
    OPENAI_BASE_URL: `http://127.0.0.1:${providerPort}/v1`,
    OPENAI_API: "chat",
    OPENAI_API_KEY: "unused",
    MODELS: "openai:bench",
    RATE_LIMITS: "off",
    GUESTS: "on",
    MAX_RUNNING_TURNS: "10000",
    MAX_OPEN_STREAMS: "10000",
    BUDGET_GUEST_TOKENS_PER_DAY: "off",
    BUDGET_ALL_GUESTS_TOKENS_PER_DAY: "off",
  });
  const port = await portOf(launcher, "Rivulet is ready at ");
  // The launcher started the database, which keeps the launcher's cores.
  const [pid] = childrenOf(pidOf(launcher));
  if (!pid) throw new Error("The launcher runs no server.");
  if (pinned) spawnSync("taskset", ["-acp", serverCore, String(pid)]);

  const bearers: string[] = [];
  while (bearers.length < users) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/tokens`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ guest: true }),
    });
    bearers.push(((await answer.json()) as { token: string }).token);
  }
  const message = { id: "{uuid}", role: "user", parts: [{ type: "text", text: "{prompt}" }] };
  const home = path.join(dataDir, "postgres");
  const [postmaster, , , databasePort] = readFileSync(path.join(home, "data/postmaster.pid"), "utf8").split("\n");
  const password = readFileSync(path.join(home, "password"), "utf8");
  return {
    name: "d",
    label: "Rivulet, everything on",
    pid,
    database: {
      pid: Number(postmaster),
      sql: postgres(`postgres://rivulet:${password}@127.0.0.1:${databasePort}/postgres`, { max: 1 }),
    },
    target: {
      port,
      path: "/api/chat",
      headers: { Authorization: "Bearer {token}" },
      bearers,
      // The others have no documents to search.
      body: JSON.stringify({ id: "{uuid}", message, searchMode: "none" }),
    },
  };
}

/** Stops everything, databases last. */
export async function stopAll(contenders: Contender[]): Promise<void> {
  for (const { database } of contenders) await database?.sql.end();
  await Promise.all(
    running.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    }),
  );
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
}

function completions(port: number): Target {
  const messages = [{ role: "user", content: "{prompt}" }];
  const body = JSON.stringify({ model: "bench", stream: true, stream_options: { include_usage: true }, messages });
  return { port, path: "/v1/chat/completions", headers: { Authorization: "Bearer unused" }, body };
}

function pidOf(child: ChildProcess): number {
  if (!child.pid) throw new Error("A process could not be started.");
  return child.pid;
}

/** Each prints its URL once it listens. */
function portOf(child: ChildProcess, before = ""): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      const port = new RegExp(`${before}http://[^\\s:]+:(\\d+)`).exec(output)?.[1];
      if (port) resolve(Number(port));
    });
    child.once("exit", () => reject(new Error(`A process to be measured has ended.\n${output}`)));
  });
}
