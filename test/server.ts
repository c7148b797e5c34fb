// Starts the real production server (the output of `next build`) as a child process for tests. One
// call, one process; two calls with the same database are two servers. Does not build, migrate or
// start a database.
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { keepSecret, leakWatch } from "./leaks.ts";

export type TestServer = {
  /** http://localhost:<port>. One host name throughout: for cookies and the same-origin rule. */
  url: string;
  port: number;
  pid: number;
  /** Resolves with the ending signal once the process has exited. */
  exited: Promise<NodeJS.Signals | null>;
  /** stdout and stderr so far, in order of arrival. */
  output(): string;
  /** Signals the server process and waits for its exit; false when it had already exited. */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<boolean>;
  /** Sends SIGTERM and returns the exit code; for a server that still runs. */
  stop(): Promise<number | null>;
  /** For SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void;
};

/** One secret for all test servers, so that two on one database accept each other's sessions. */
const authSecret = "a-secret-for-tests-and-nothing-else-0123456789";
/** A cold start takes 1 to 2 s here; more than ten times that is broken, not slow. */
const readyWithinMs = 30_000;
const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Resolves when /api/ready answers 200; with `until: "healthy"` when /api/health does, which needs
 * no database. Throws with the output when the server exits or times out.
 */
export async function startServer({
  databaseUrl,
  dataDir,
  env = {},
  port,
  chaos = false,
  until = "ready",
}: {
  databaseUrl: string;
  dataDir?: string;
  env?: Record<string, string>;
  /** A free port by default. Set it to restart a killed server in place. */
  port?: number;
  /** From the failure-test build, which dies where KILL_AT says (lib/kill-points.ts). */
  chaos?: boolean;
  until?: "ready" | "healthy";
}): Promise<TestServer> {
  const chosen = port ?? (await freePort());
  // Like scripts/start.ts; parent.mjs ends the server when the test runner is gone.
  const argv = ["--import", "./scripts/parent.mjs", "node_modules/next/dist/bin/next", "start", "-p", String(chosen)];
  // Not the test runner's environment: its NODE_ENV, NODE_OPTIONS and provider keys do not belong
  // to the server.
  const serverEnv: Record<string, string | undefined> = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    NODE_ENV: "production",
    NEXT_TELEMETRY_DISABLED: "1",
    NEXT_MANUAL_SIG_HANDLE: "true",
    PORT: String(chosen),
    DATABASE_URL: databaseUrl,
    AUTH_SECRET: authSecret,
    RATE_LIMITS: "off",
    // Tests run as guests with a scripted provider that has a key.
    GUESTS: "on",
    MAX_RUNNING_TURNS: "10000",
    MAX_OPEN_STREAMS: "10000",
    BUDGET_GUEST_TOKENS_PER_DAY: "off",
    BUDGET_ALL_GUESTS_TOKENS_PER_DAY: "off",
    DRAIN_MS: "1000",
    CHAOS_BUILD: chaos ? "on" : "off",
    ...(dataDir && { DATA_DIR: dataDir }),
    ...env,
  };
  keepSecretsOf(serverEnv);
  const child = spawn(process.execPath, argv, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: serverEnv as NodeJS.ProcessEnv,
  });
  let output = "";
  for (const pipe of [child.stdout, child.stderr]) {
    const watch = leakWatch("output", `the output of the server on port ${chosen}`);
    pipe.setEncoding("utf8");
    pipe.on("data", (text: string) => {
      output += text;
      watch(text);
    });
  }
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const url = `http://localhost:${chosen}`;

  try {
    await answering(`${url}/api/${until === "ready" ? "ready" : "health"}`, child);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`The server at ${url} did not become ready.\n${output}`, { cause: error });
  }

  const gone = () => child.exitCode !== null || child.signalCode !== null;
  return {
    url,
    port: chosen,
    pid: child.pid as number,
    exited: exited.then(([, signal]) => signal),
    output: () => output,
    async kill(signal) {
      if (gone()) return false;
      child.kill(signal);
      await exited;
      return true;
    },
    async stop() {
      if (gone()) throw new Error(`The server had exited (${child.exitCode ?? child.signalCode}).\n${output}`);
      child.kill("SIGTERM");
      const [code] = await exited;
      return code;
    },
    signal: (signal) => void child.kill(signal),
  };
}

/** Values that must not leave this server. */
function keepSecretsOf(env: Record<string, string | undefined>): void {
  keepSecret("the key of the provider", env.OPENAI_API_KEY);
  keepSecret("the secret of the sessions", env.AUTH_SECRET);
  keepSecret("the address of the database", env.DATABASE_URL);
  keepSecret("the password of the database", new URL(env.DATABASE_URL as string).password);
  for (const url of [env.OPENAI_BASE_URL, env.OLLAMA_BASE_URL])
    if (url) keepSecret("the address of the provider", new URL(url).host, "answer");
  keepSecret("a path of the server", root);
  keepSecret("a path of the server", env.DATA_DIR);
}

async function answering(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  let last: unknown;
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("It exited.");
    try {
      const answer = await fetch(url);
      if (answer.ok) return;
      last = new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw last;
}

/** Below the ephemeral range, so that no other start or connection takes it meanwhile. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, () => resolve(true));
    });
    await new Promise((resolve) => probe.close(resolve));
    if (free) return port;
  }
}

export type TestUser = { token: string; userId: string };

export async function newGuest(url: string): Promise<TestUser> {
  return createToken(url, { guest: true });
}

/** Creates an account with a password and returns a token. */
export async function signUp(
  url: string,
  account: { email: string; password: string; name?: string; invite?: string },
) {
  await post(url, "/api/users", account);
  return createToken(url, { email: account.email, password: account.password });
}

async function createToken(url: string, body: object): Promise<TestUser> {
  const { token, userId } = (await post(url, "/api/tokens", body)) as TestUser;
  return { token, userId };
}

async function post(url: string, path: string, body: object): Promise<unknown> {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status !== 201) throw new Error(`POST ${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
