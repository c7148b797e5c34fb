// Servers that a journey may kill: their own database, the shared scripted provider.
import { randomUUID } from "node:crypto";
import postgres from "postgres";
import { dropDatabase } from "@/test/drop-database";
import { startServer, type TestServer } from "@/test/server";
import { test as base, fromSetup } from "./journey.ts";

type Start = (options?: { port?: number; env?: Record<string, string> }) => Promise<TestServer>;

export const test = base.extend<{ startOwn: Start }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameter's pattern.
  startOwn: async ({}, use) => {
    const setup = fromSetup("E2E_DATABASE_URL");
    const name = `rivulet_faults_${randomUUID().replaceAll("-", "")}`;
    const admin = postgres(setup, { max: 1, onnotice: () => {} });
    await admin.unsafe(`create database ${name}`);
    const url = new URL(setup);
    url.pathname = `/${name}`;
    const servers: TestServer[] = [];
    await use(async ({ port, env } = {}) => {
      const server = await startServer({
        databaseUrl: url.href,
        port,
        env: {
          MODELS: "openai:scripted",
          OPENAI_BASE_URL: fromSetup("E2E_PROVIDER_URL"),
          OPENAI_API_KEY: "sk-canary-of-the-server",
          OPENAI_API: "chat",
          ...env,
        },
      });
      servers.push(server);
      return server;
    });
    await Promise.all(servers.map((server) => server.kill("SIGKILL")));
    await dropDatabase(admin, name);
    await admin.end();
  },
});
