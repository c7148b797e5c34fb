// The statements of a db/ function and their plans. Statements are captured from the driver while
// the real function runs, then explained and executed once more in a transaction that is rolled
// back.
import { readdirSync } from "node:fs";
import path from "node:path";
import postgres from "postgres";
import { v7 as uuidv7 } from "uuid";
import { expect } from "vitest";
import { pool } from "@/db/client";
import { processSingletons } from "@/lib/process-singletons";
import { underLoad } from "@/test/under-load";

export type Verb = (...args: never[]) => unknown;
/** One function of db/ with one set of arguments. */
export type Call = {
  title: string;
  verb: Verb;
  run: () => unknown;
  /** Parameters to replace before explaining: by then the call has deleted what they name. */
  standIns: Record<string, unknown>;
};

export function call<Chosen extends Verb>(
  title: string,
  verb: Chosen,
  run: (verb: Chosen) => unknown,
  standIns: Record<string, unknown> = {},
): Call {
  return { title, verb, run: () => run(verb), standIns };
}

export const largeTables = [
  ...["users", "sessions", "tokens", "chats", "messages", "turns", "turn_chunks", "token_usage", "storage_changes"],
  ...["documents", "passages", "hidden_samples", "tasks", "rate_limits"],
];

/** With a warm cache, the best of several, so that a busy machine does not fail the test. */
const tries = 10;

type Statement = { text: string; parameters: unknown[] };
type Node = {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Cond"?: string;
  "Actual Rows"?: number;
  "Rows Removed by Filter"?: number;
  Plans?: Node[];
};
type Explained = { Plan: Node; "Execution Time"?: number };

const undone = new Error("undone");

export class Explainer {
  readonly #sql: postgres.Sql;
  readonly #sent: Statement[] = [];
  #explainsGeneric = false;

  constructor(url: string) {
    this.#sql = postgres(url, { max: 1, prepare: false, onnotice: () => {} });
    // Captured JSON parameters are already text.
    const asItIs = (value: unknown) => value;
    Object.assign(this.#sql.options.serializers, { 114: asItIs, 3802: asItIs });
  }

  /** From here on every statement of the pool and of sweeps is captured. */
  async begin(): Promise<void> {
    const [server] = await this.#sql`select current_setting('server_version_num')::int as version`;
    this.#explainsGeneric = server?.version >= 160_000;
    const debug = (_connection: number, text: string, parameters: unknown[]) => this.#sent.push({ text, parameters });
    pool();
    const { client, sweeper } = processSingletons.get("pool") as Record<"client" | "sweeper", { sql: postgres.Sql }>;
    for (const { sql } of [client, sweeper]) Object.assign(sql.options, { debug });
  }

  end(): Promise<void> {
    return this.#sql.end();
  }

  /**
   * Fails when the call sends nothing, scans a large table in full (also within a function or
   * trigger), or sends a statement that takes longer than `maxMs`.
   */
  async check({ run, standIns }: Pick<Call, "run" | "standIns">, maxMs: number): Promise<void> {
    const statements = await this.#statementsOf(run);
    expect(statements).not.toEqual([]);
    const fastestMs = statements.map(() => Number.POSITIVE_INFINITY);
    for (let times = 0; times < tries && fastestMs.some((ms) => ms >= maxMs); times++) {
      const { explained, scanned } = await this.#explain(statements.map(withOthers(standIns)));
      for (const [index, { Plan, "Execution Time": ms = Number.POSITIVE_INFINITY }] of explained.entries()) {
        const { text } = statements[index] as Statement;
        const plans = times === 0 ? [Plan, ...(await this.#genericPlans(text))] : [];
        expect(plans.flatMap(scansOfAll), text).toEqual([]);
        fastestMs[index] = Math.min(fastestMs[index] as number, ms);
      }
      expect(scanned, "scanned from end to end by a function or a trigger").toEqual([]);
    }
    for (const [index, ms] of fastestMs.entries()) expect(ms, statements[index]?.text).toBeLessThan(underLoad(maxMs));
  }

  async #statementsOf(run: () => unknown): Promise<Statement[]> {
    this.#sent.length = 0;
    await run();
    return this.#sent.filter(({ text }) => /^\s*(with|select|insert|update|delete)\b/i.test(text) && !isOfDriver(text));
  }

  async #explain(statements: Statement[]): Promise<{ explained: Explained[]; scanned: string[] }> {
    const explained: Explained[] = [];
    let scanned: string[] = [];
    await this.#sql
      .begin(async (sql) => {
        const before = await sequentialScans(sql);
        for (const { text, parameters } of statements) {
          const [row] = await sql.unsafe(`explain (analyze, buffers, format json) ${text}`, parameters as never[]);
          explained.push(row?.["QUERY PLAN"][0]);
        }
        const after = await sequentialScans(sql);
        scanned = [...after].flatMap(([table, scans]) => (scans > (before.get(table) ?? 0) ? [table] : []));
        throw undone;
      })
      .catch((error) => {
        if (error !== undone) throw error;
      });
    return { explained, scanned };
  }

  /**
   * The generic plan, possible from a prepared statement's sixth call. Searches are never prepared.
   */
  async #genericPlans(text: string): Promise<Node[]> {
    if (!this.#explainsGeneric || text.includes("websearch_to_tsquery") || text.includes("ts_rank_cd")) return [];
    const [row] = await this.#sql.unsafe(`explain (generic_plan, format json) ${text}`);
    return [row?.["QUERY PLAN"][0].Plan];
  }
}

/** Sequential scans of large tables by this transaction so far. */
async function sequentialScans(sql: postgres.TransactionSql): Promise<Map<string, number>> {
  const rows = await sql`
    select relname as table, seq_scan::int as scans from pg_stat_xact_user_tables where relname = any(${largeTables})`;
  return new Map(rows.map(({ table, scans }) => [table, scans]));
}

/** Seeded ids have another UUID version. */
const newIds = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** The call has already inserted and deleted its rows: explain the statements with other ids. */
function withOthers(standIns: Record<string, unknown>): (statement: Statement) => Statement {
  const others = new Map<string, string>();
  const otherId = (id: string) => {
    const other = others.get(id) ?? uuidv7();
    others.set(id, other);
    return other;
  };
  const replaced = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(replaced);
    if (String(value) in standIns) return standIns[String(value)];
    return typeof value === "string" ? value.replace(newIds, otherId) : value;
  };
  return ({ text, parameters }) => ({ text, parameters: parameters.map(replaced) });
}

/** Once per connection the driver asks for array types. */
function isOfDriver(text: string): boolean {
  return text.includes("pg_catalog.pg_type");
}

function nodesOf(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

/** Rows of a large table; an index scanned from its start for more rows than this is no better. */
const maxUnconditioned = 10_000;

function scansOfAll(plan: Node): string[] {
  return nodesOf(plan)
    .filter((node) => largeTables.includes(node["Relation Name"] ?? ""))
    .filter((node) => {
      const { "Node Type": type, "Index Cond": condition, "Actual Rows": rows = 0 } = node;
      if (type.includes("Seq Scan")) return true;
      const isIndexScan = /^Index (Only )?Scan/.test(type);
      return isIndexScan && !condition && rows + (node["Rows Removed by Filter"] ?? 0) > maxUnconditioned;
    })
    .map((node) => `${node["Node Type"]} on ${node["Relation Name"]}`);
}

export type Modules = Record<string, Record<string, unknown>>;

/** All of db/, by file name without extension. */
export async function modulesOfDb(): Promise<Modules> {
  const folder = path.join(import.meta.dirname, "../../db");
  const names = readdirSync(folder).flatMap((file) => /^([a-z-]+)\.ts$/.exec(file)?.[1] ?? []);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await import(path.join(folder, `${name}.ts`))] as const)),
  );
}

/** `module.verb` of functions neither called nor excused, and excuses without effect. */
export function forgotten(modules: Modules, calls: Pick<Call, "verb">[], excused: Record<string, string>): string[] {
  const called = new Set<unknown>(calls.map(({ verb }) => verb));
  const verbs = Object.entries(modules).flatMap(([file, module]) =>
    Object.entries(module).flatMap(([name, value]) =>
      typeof value === "function" ? [{ name: `${file}.${name}`, isCalled: called.has(value) }] : [],
    ),
  );
  const needed = verbs.filter(({ name, isCalled }) => !isCalled && !(name in excused)).map(({ name }) => name);
  const open = new Set(verbs.filter(({ isCalled }) => !isCalled).map(({ name }) => name));
  return [...needed, ...Object.keys(excused).filter((name) => !open.has(name))];
}
