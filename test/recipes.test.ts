// Each recipe of CONTRIBUTING.md, followed to the letter on a copy. dialect-recipe.test.ts also serves the
// dialect.
import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { streamText, type ToolSet } from "ai";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Registry } from "@/lib/dialects/registry";
import type { Env } from "@/lib/env";
import { ChatReader } from "@/lib/models/chat-reader";
import { framesOf, Normaliser } from "@/lib/models/normaliser";
import type { Provider } from "@/lib/models/providers/provider";
import { createChat } from "@/lib/services/chats/chats";
import { createGuest, createToken } from "@/lib/services/users/users";
import { testDatabase } from "./database";
import { type Answer, meaningOf } from "./provider-answers";
import type { Wire } from "./provider-wires";
import { applyRecipe, listRecipes, type Recipe } from "./recipe";
import type { Call } from "./scale/explain";

const root = path.dirname(import.meta.dirname);
const url = testDatabase();

function connect(): postgres.Sql {
  const sql = postgres(url(), { max: 1, onnotice: () => {} });
  onTestFinished(() => sql.end());
  return sql;
}

test("every recipe has a test", () => {
  const source = readFileSync(import.meta.filename, "utf8");
  expect(listRecipes().length).toBeGreaterThan(8);
  expect(listRecipes().filter((title) => !source.includes(`applyRecipe("${title}"`))).toEqual([]);
});

test("a dialect is served by the registry under its path", async () => {
  const recipe = applyRecipe("A dialect");
  copyFileSync(path.join(root, "test/fixtures/lines.ts"), path.join(recipe.folder, "lib/dialects/lines.ts"));
  const { registry } = await recipe.load<{ registry: Registry }>("lib/dialects/registry.ts");
  expect(registry.match("/lines/5")).toMatchObject({ dialect: { name: "lines" }, params: { chat: "5" } });
  expect(registry.find("openai")?.name).toBe("openai");
});

test("a route answers, refuses bad input and strangers, has a cost and is described", async () => {
  const recipe = applyRecipe("A route");
  type Handler = (request: Request, context: { params: Promise<{ chatId: string }> }) => Promise<Response>;
  const { POST } = await recipe.load<{ POST: Handler }>("app/api/chats/[chatId]/pin/route.ts");
  const { id } = await createGuest("recipe");
  const { token } = await createToken(id, { name: "recipe" });
  const chat = await createChat(id, {});
  const ask = async (body: object, bearer: string, chatId = chat.id) => {
    const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await POST(new Request(`http://localhost/api/chats/${chatId}/pin`, init), {
      params: Promise.resolve({ chatId }),
    });
    return [response.status, await response.json()];
  };
  expect(await ask({ pinned: true }, token)).toMatchObject([200, { id: chat.id, pinned: true }]);
  expect(await ask({ pinned: "yes" }, token)).toMatchObject([400, { error: { code: "bad_request" } }]);
  expect(await ask({ pinned: true }, token, "unknown")).toMatchObject([404, { error: { code: "not_found" } }]);
  expect(await ask({ pinned: true }, "rvl_no")).toMatchObject([401, { error: { code: "unauthorized" } }]);

  const costs = await recipe.load<{ listRouteNames(): string[] }>("lib/route-costs.ts");
  expect(costs.listRouteNames()).toContain("POST /api/chats/[chatId]/pin");
  const api = await recipe.load<{ nativePaths: object }>("app/openapi/native-operations.ts");
  expect(api.nativePaths).toHaveProperty(["/api/chats/{chatId}/pin", "post", "operationId"], "pinChat");
});

/** Runs `npm run db:generate` in the copy. Returns the new migration's SQL. */
function generateMigration({ folder, commands }: Recipe): string {
  const [, name = ""] = /^npm run db:generate -- --name (\w+)$/.exec(commands.join()) ?? [];
  const drizzleKit = path.join(root, "node_modules/drizzle-kit/bin.cjs");
  execFileSync(process.execPath, [drizzleKit, "generate", "--name", name], { cwd: folder, stdio: "pipe" });
  const migrations = path.join(folder, "db/migrations");
  const [added, ...others] = readdirSync(migrations).filter(
    (file) => file.endsWith(".sql") && !readdirSync(path.join(root, "db/migrations")).includes(file),
  );
  expect([added, others]).toEqual([expect.stringContaining(name), []]);
  return readFileSync(path.join(migrations, added as string), "utf8");
}

const migrationFiles = ["db/migrations", "drizzle.config.ts"];

test("a table is migrated, and its statements see only their user's rows", async () => {
  const recipe = applyRecipe("A table or column", { also: migrationFiles });
  expect(generateMigration(recipe)).toMatch(
    /^CREATE TABLE "labels" \([^;]*;\n--> statement-breakpoint\nALTER TABLE "labels"[^;]*;$/,
  );
  const sql = connect();
  await migrate(drizzle(sql), { migrationsFolder: path.join(recipe.folder, "db/migrations") });
  const [mine, other] = [await createGuest("mine"), await createGuest("other")];
  await sql`insert into labels (user_id, name) values (${mine.id}, 'work'), (${mine.id}, 'home'), (${other.id}, 'x')`;
  const labels = await recipe.load<{ listLabels(userId: string, limit: number): Promise<string[]> }>("db/labels.ts");
  expect(await labels.listLabels(mine.id, 50)).toEqual(["home", "work"]);
  const { ofRoutes } = await recipe.load<{ ofRoutes: Call[] }>("test/scale/calls.ts");
  expect(ofRoutes.map(({ verb }) => verb)).toContain(labels.listLabels);
});

describe("an index", () => {
  test("of a small table is part of the migration", () => {
    const sql = generateMigration(applyRecipe("An index", { steps: 1, also: migrationFiles }));
    expect(sql).toMatch(/^CREATE INDEX "\w+" ON "invitations" USING btree \("expires_at"\);$/);
  });

  test("of a large table is built after the migrations, and dropped once it is retired", async () => {
    const sql = connect();
    const build = async ({ load }: Recipe) => {
      const { buildIndexes } = await load<{ buildIndexes(url: string): Promise<void> }>("db/indexes.ts");
      await buildIndexes(url());
      const rows = await sql`
        select relname as name from pg_index join pg_class on pg_class.oid = indexrelid
        where indisvalid and relname like 'chats_by_%'`;
      return rows.map(({ name }) => name);
    };
    expect(await build(applyRecipe("An index", { steps: 2 }))).toEqual(["chats_by_title"]);
    expect(await build(applyRecipe("An index"))).toEqual(["chats_by_lower_title"]);
  });
});

test("a model provider answers with its own key, and its variables are documented", async () => {
  const recipe = applyRecipe("A model provider");
  const { acme: wire } = await recipe.load<{ acme: Wire }>("test/provider-wires.ts");
  const keys: unknown[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers.authorization);
    response.writeHead(200, { "content-type": wire.contentType }).end(wire.answer);
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const { parseEnv } = await recipe.load<{ parseEnv(variables: object): Env }>("lib/env.ts");
  const { providersOf } = await recipe.load<{
    providersOf(env: Env, file: { servers: [] }): Map<string, Provider>;
  }>("lib/models/providers/registry.ts");
  const acme = (variables: object) => providersOf(parseEnv(variables), { servers: [] }).get("acme") as Provider;
  expect(acme({})).toMatchObject({ reason: "ACME_API_KEY is not set.", offers: [] });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const provider = acme({ ACME_API_KEY: "secret-key", ACME_BASE_URL: baseUrl });
  expect(provider).toMatchObject({ offers: ["acme-1"], secrets: ["secret-key"] });
  const model: LanguageModelV4 = await provider.load("acme-1");
  const result = streamText({ model, prompt: "Hi", maxRetries: 0 });
  expect(await result.text).toBe("Hello there.");
  expect(await result.reasoningText).toBe("Let me think.");
  expect(keys).toEqual(["Bearer secret-key"]);

  const added = Array.from(recipe.read("lib/env.ts").matchAll(/^ {2}(ACME_\w+):/gm), ([, name]) => name);
  expect(added.length).toBe(2);
  expect(added.filter((name) => !recipe.read("README.md").includes(`| \`${name}\` | unset |`))).toEqual([]);
  expect(added.filter((name) => !recipe.read(".env.example").includes(`\n# ${name}=`))).toEqual([]);
});

test("an answer that is parsed wrongly is replayed and named", async () => {
  const recipe = applyRecipe("An answer that is parsed wrongly");
  const { textAnswers } = await recipe.load<{ textAnswers: Answer[] }>("test/provider-text-answers.ts");
  const [name, wire, meaning] = textAnswers[0] as Answer;
  const normaliser = new Normaliser(new ChatReader("http://provider/v1/chat/completions"));
  const items = [...normaliser.read(Buffer.from(wire)), ...normaliser.finish(false)];
  expect(meaningOf(framesOf(items), normaliser.failure)).toMatchObject(meaning);
  expect(recipe.read("docs/providers.md")).toMatch(new RegExp(`^\\| .* \\| "${name}" \\|$`, "m"));
});

test("a tool is offered, and the model reads its failures", async () => {
  const recipe = applyRecipe("A tool");
  const reports: unknown[] = [];
  const { toolsFor } = await recipe.load<{ toolsFor(userId: string, report: (error: unknown) => void): ToolSet }>(
    "lib/tools/registry.ts",
  );
  const { roll_dice, add_task } = toolsFor("user", (error) => reports.push(error));
  expect(add_task).toBeDefined();
  const roll = (count: number) =>
    roll_dice?.execute?.({ count }, { toolCallId: `${count}`, messages: [], context: {} });
  const { rolls } = (await roll(100)) as { rolls: number[] };
  expect(new Set(rolls).difference(new Set([1, 2, 3, 4, 5, 6]))).toEqual(new Set());
  await expect(roll(101)).rejects.toThrow("At most 100 dice can be rolled at once.");
  expect(reports).toEqual([]);
  expect(recipe.read("docs/protocol.md")).toContain("| `roll_dice` |");
});

test("a client is pinned, listed and has a test of its name", () => {
  const recipe = applyRecipe("A client");
  const { dependencies } = JSON.parse(recipe.read("test/clients/package.json"));
  const row = /^\| `(@acme\/[\w-]+)` \| ([\d.]+) \|.*\| `(test\/clients\/[\w.-]+)` "([^"]+)" \|$/m;
  const [, name = "", version, file = "", title] = row.exec(recipe.read("docs/clients.md")) ?? [];
  expect(dependencies[name]).toBe(version);
  expect(recipe.files).toContain(file);
  expect(recipe.read(file)).toContain(`describe("${title}", `);
});

test("a decision has the sections of the others and fits in 40 lines", () => {
  const recipe = applyRecipe("A decision");
  const [file = ""] = recipe.files;
  expect(file).toMatch(/^docs\/decisions\/NNNN-[a-z-]+\.md$/);
  const sections = (text: string) => Array.from(text.matchAll(/^## (.+)$/gm), ([, title]) => title).join();
  const newest = readdirSync(path.join(root, "docs/decisions")).sort().at(-1) as string;
  const optional = ",Rejected";
  expect(sections(recipe.read(file)).replace(optional, "")).toBe(
    sections(recipe.read(`docs/decisions/${newest}`)).replace(optional, ""),
  );
  expect(recipe.read(file).split("\n").length).toBeLessThanOrEqual(40);
});
