// Vitest's global setup: one real Postgres per run, with a migrated template database that test
// files copy. TEST_DATABASE_URL names a server to use instead; its account must be allowed to
// create databases.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { buildIndexes } from "@/db/indexes";
import { migrateDatabase } from "@/db/migrate";
import { startPostgres } from "@/scripts/postgres";
import { withDatabase } from "./database";

declare module "vitest" {
  interface ProvidedContext {
    /** The template of all test databases; nothing connects to it. */
    templateUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  const template = `rivulet_template_${randomBytes(6).toString("hex")}`;
  await sql.unsafe(`create database ${template}`);
  await migrateDatabase(withDatabase(server.url, template));
  await buildIndexes(withDatabase(server.url, template));
  project.provide("templateUrl", withDatabase(server.url, template));
  return async () => {
    await sql.unsafe(`drop database ${template}`);
    await sql.end();
    await server.stop();
  };
}

async function startServer(): Promise<{ url: string; stop(): Promise<void> }> {
  if (process.env.TEST_DATABASE_URL) return { url: process.env.TEST_DATABASE_URL, stop: async () => {} };
  const dataDir = await mkdtemp(path.join(tmpdir(), "rivulet-test-"));
  const database = await startPostgres({ dataDir, mayCreateDatabases: true });
  return {
    url: database.url,
    async stop() {
      await database.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
