// `npm start` and, with --dev, `npm run dev`: the server in the foreground with all it needs. A
// database or secret missing from the environment is created once in DATA_DIR.
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "./free-port.ts";
import { type EmbeddedPostgres, startPostgres } from "./postgres.ts";
import { allowForEnding, askedToEnd, forwardSignal, runNode } from "./processes.ts";
import { ensureBuild, nextBin } from "./production-build.ts";

const dev = process.argv.includes("--dev");

/** A server that is shutting down may still hold the port. */
const portPatienceMs = 4_000;

/**
 * Smaller young generation, in MiB: three quarters of V8's limit. Open streams survive collections,
 * and V8 then grows the young generation: without this limit 500 streams take about 50 MiB more,
 * and a token costs no less (docs/performance.md).
 */
const youngObjects = "--max-semi-space-size=24";

try {
  process.exit(await main());
} catch (error) {
  // The message may quote another program's output.
  console.error((error as Error).message.replace(/[^\P{Cc}\n]/gu, "\ufffd"));
  process.exit(1);
}

async function main(): Promise<number> {
  loadEnvFiles();
  const dataDir = path.resolve(process.env.DATA_DIR || ".data");
  const host = process.env.HOST || undefined;
  const port = await requirePort(host);
  // The server's drain budget, or the longest default, plus time to store its state.
  const readyDelayMs = Number(process.env.READY_DELAY_MS || 2_000);
  allowForEnding((Number(process.env.DRAIN_MS) || 20_000) + readyDelayMs + 5_000);
  const secret = process.env.AUTH_SECRET || ownSecret(dataDir);

  let database: EmbeddedPostgres | undefined;
  try {
    if (!process.env.DATABASE_URL) database = await startPostgres({ dataDir, onProgress: console.log });
    if (!dev) await ensureBuild(runNode);
    if (askedToEnd()) return 0;
    const code = await serve(host, port, {
      ...process.env,
      DATABASE_URL: database?.url ?? process.env.DATABASE_URL,
      AUTH_SECRET: secret,
      NODE_ENV: dev ? "development" : "production",
      NEXT_MANUAL_SIG_HANDLE: "true",
      NEXT_TELEMETRY_DISABLED: "1",
    });
    return askedToEnd() ? 0 : code;
  } catch (error) {
    if (askedToEnd()) return 0;
    throw error;
  } finally {
    await database?.stop();
  }
}

async function serve(host: string | undefined, port: number, env: NodeJS.ProcessEnv): Promise<number> {
  const where = ["-p", String(port), ...(host ? ["-H", host] : [])];
  // Next directly, without npx or a shell, which would keep signals to themselves.
  const watch = path.resolve("scripts/parent.mjs");
  const argv = dev
    ? [nextBin, "dev", ...where]
    : [youngObjects, "--import", `file://${watch}`, nextBin, "start", ...where];
  const ended = new AbortController();
  const server = runNode(argv, env).finally(() => ended.abort());
  const name = !host || host === "0.0.0.0" || host === "::" ? "localhost" : host;
  const address = `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
  await untilHealthy(address, ended.signal);
  // Next's development server has a parent process of its own, which this signal would end.
  if (!dev) forwardSignal("SIGUSR2");
  if (!ended.signal.aborted) console.log(`Rivulet is ready at ${address}`);
  return server;
}

async function untilHealthy(address: string, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    try {
      const response = await fetch(`${address}/health`, {
        signal: AbortSignal.any([ended, AbortSignal.timeout(5_000)]),
      });
      await response.arrayBuffer();
      if (response.ok) return;
    } catch {
      // Not listening yet; if it never will, the process ends.
    }
    await delay(100);
  }
}

/** The server's own .env files in the same order: they may set the port or the database. */
function loadEnvFiles(): void {
  const fromNext = createRequire(path.resolve(nextBin));
  const { loadEnvConfig } = fromNext("@next/env") as { loadEnvConfig(folder: string, dev: boolean): unknown };
  loadEnvConfig(process.cwd(), dev);
  // Makes the server read them again, and see later edits in development.
  delete process.env.__NEXT_PROCESSED_ENV;
}

async function requirePort(host: string | undefined): Promise<number> {
  const wanted = process.env.PORT || "3000";
  const port = Number(wanted);
  if (!/^\d+$/.test(wanted) || port > 65_535)
    throw new Error(`PORT must be a number from 0 to 65535, not "${wanted}".`);
  if (port === 0) return freePort();
  const deadline = Date.now() + portPatienceMs;
  for (;;) {
    const problem = await listenOnce(port, host);
    if (!problem) return port;
    if (problem !== "EADDRINUSE")
      throw new Error(`Cannot listen on port ${port} of ${host ?? "this machine"} (${problem}).`);
    if (Date.now() > deadline)
      throw new Error(
        `Port ${port} is already in use. Stop what listens there, or choose another: PORT=${port + 1} npm start`,
      );
    await delay(200);
  }
}

function listenOnce(port: number, host: string | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
}

/** Signs every session, so it is created once and kept; of concurrent starts the first wins. */
function ownSecret(dataDir: string): string {
  const file = path.join(dataDir, "auth-secret");
  mkdirSync(dataDir, { recursive: true });
  const fresh = `${file}-${process.pid}`;
  writeFileSync(fresh, randomBytes(32).toString("base64url"), { mode: 0o600 });
  try {
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(fresh);
  }
  return readFileSync(file, "utf8");
}
