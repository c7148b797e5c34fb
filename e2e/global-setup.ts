// The journeys' environment: a real Postgres, the scripted provider and two production servers on
// one database. TEST_DATABASE_URL names a Postgres to use instead of the embedded one; the journeys
// get their own database in it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { startPostgres } from "@/scripts/postgres";
import { dropDatabase } from "@/test/drop-database";
import { startProvider } from "@/test/provider";
import { startServer, type TestServer } from "@/test/server";

/** Returns the teardown. URLs reach the workers through the environment. */
export default async function setup(): Promise<() => Promise<void>> {
  const database = await openDatabase();
  const provider = await startProvider();
  const scripted = {
    MODELS: "openai:scripted,openai:forgetful,local",
    OPENAI_BASE_URL: provider.url,
    OPENAI_API_KEY: "sk-canary-of-the-server",
    OPENAI_API: "chat",
  };
  const servers: TestServer[] = [];
  try {
    // Sequential: the first one migrates.
    servers.push(await startServer({ databaseUrl: database.url, env: scripted }));
    servers.push(await startServer({ databaseUrl: database.url, env: { MODELS: "local" } }));
  } catch (error) {
    await Promise.all(servers.map((server) => server.kill("SIGKILL")));
    await provider.close();
    await database.close();
    throw error;
  }
  const [first, second] = servers;
  process.env.E2E_URL = first?.url;
  process.env.E2E_LOCAL_URL = second?.url;
  process.env.E2E_PROVIDER_URL = provider.url;
  process.env.E2E_DATABASE_URL = database.url;
  process.env.E2E_SCRIPTED_ENV = JSON.stringify(scripted);

  return async () => {
    const codes = await Promise.all(servers.map((server) => server.stop()));
    await provider.close();
    await database.close();
    if (process.env.E2E_SHOW_SERVERS) for (const server of servers) console.log(server.output());
    if (codes.some((code) => code !== 0)) {
      throw new Error(`SIGTERM ended the servers with ${codes}.\n${servers.map((each) => each.output()).join("\n")}`);
    }
  };
}

async function openDatabase(): Promise<{ url: string; close(): Promise<void> }> {
  const given = process.env.TEST_DATABASE_URL;
  const dataDir = given ? undefined : await mkdtemp(path.join(tmpdir(), "rivulet-e2e-"));
  const embedded = dataDir ? await startPostgres({ dataDir, mayCreateDatabases: true }) : undefined;
  const server = given ?? embedded?.url ?? "";
  const name = `rivulet_e2e_${process.pid}`;
  const admin = postgres(server, { max: 1, onnotice: () => {} });
  await admin.unsafe(`create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async close() {
      await dropDatabase(admin, name);
      await admin.end();
      await embedded?.stop();
      if (dataDir) await rm(dataDir, { recursive: true, force: true });
    },
  };
}
