// Every check of this code as a counted suite; `npm run check`, `npm test` and `npm run chaos`
// select from them.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { allPrograms, canInstall, install, requirePrograms } from "./debian.ts";
import { startPostgres } from "./postgres.ts";
import { askedToEnd, runNode } from "./processes.ts";
import { ensureBuild } from "./production-build.ts";
import { type Proof, promised, proofsOfPlaywright, proofsOfVitest } from "./proofs.ts";
import { expressionsAreLinear } from "./regexps.ts";
import { slowJourneys } from "./slow-tests.ts";

/** `failures`: what failed, by title. */
export type Count = { passed: number; failed: number; failures?: string[] };
export type Suite = { name: string; run(): Promise<Count> };

const nodeModules = path.resolve("node_modules");
const lockFiles = ["package-lock.json", "test/clients/package-lock.json", "test/mutation/package-lock.json"];

/** Each counts as one. Type checking needs the route types that Next writes. */
export const checks: Suite[] = [
  check("format and lint", [[path.join(nodeModules, "@biomejs/biome/bin/biome"), "check", "--error-on-warnings", "."]]),
  check("types", [
    [path.join(nodeModules, "next/dist/bin/next"), "typegen"],
    [path.join(nodeModules, "typescript/bin/tsc"), "--noEmit"],
  ]),
  check("dead code", [[path.join(nodeModules, "knip/bin/knip.js"), "--no-progress"]]),
  { name: "regular expressions", run: async () => one(await expressionsAreLinear()) },
  {
    name: "lock files",
    run: async () => one(lockFiles.map(lockFileIsWhole).every(Boolean)),
  },
];

export const productionBuild: Suite = {
  name: "production build",
  async run() {
    await ensureBuild(runNode);
    return one(true);
  },
};

/** The builds under test: the production build, and one with kill points. */
export const builds: Suite = {
  name: "production build",
  async run() {
    await ensureBuild(runNode);
    await ensureBuild(runNode, { chaos: true });
    return one(true);
  },
};

export const unitTests = vitest("unit and contract tests", "unit");
/** The tests of the production server and of clients, and the failure bench need the builds. */
export const clientTests = vitest("clients people use", "clients");

/** What `npm test` runs; with the slow tests, what `npm run test:all` runs. */
export function allSuites({ slow }: { slow: boolean }): Suite[] {
  const only: Selection = slow ? {} : { quick: true };
  return [
    slow ? builds : productionBuild,
    ...checks,
    programs,
    vitest("unit and contract tests", "unit", only),
    ...(slow ? [vitest("statements on large tables", "scale")] : []),
    vitest("tests of the production server", "server*", only),
    ...(slow ? [clientTests] : []),
    // Sized by CHAOS.
    vitest("failure bench", "chaos*", only),
    playwright("browser journeys", only),
  ];
}

/**
 * Ensures all programs that tests need and npm does not provide; later suites find Chromium in
 * CHROMIUM_PATH.
 */
export const programs: Suite = {
  name: "programs",
  async run() {
    requirePrograms(...allPrograms);
    const chromium = await obtainChromium();
    if (chromium) process.env.CHROMIUM_PATH = chromium;
    return one(true);
  },
};

/** The suites limited to tests that prove a promise; the results go to `collected`. */
export function proofSuites(collected: Proof[]): Suite[] {
  return [
    vitest("unit and contract tests", "unit", { collected }),
    vitest("tests of the production server", "server*", { collected }),
    vitest("failure bench", "chaos*", { collected }),
    playwright("browser journeys", { collected }),
  ];
}

/** One random seed per run: printed at its start, or taken from CHAOS_SEED. */
export function announceSeed(): string {
  process.env.CHAOS_SEED ||= String(randomInt(0x7fff_ffff));
  console.log(
    `Seed ${process.env.CHAOS_SEED}. The same command with CHAOS_SEED=${process.env.CHAOS_SEED} uses it again.`,
  );
  return process.env.CHAOS_SEED;
}

/** Gives the suites one database server and always stops it: a killed runner cleans up nothing. */
export async function withTestDatabase<T>(work: () => Promise<T>): Promise<T> {
  if (process.env.TEST_DATABASE_URL) return work();
  const dataDir = mkdtempSync(path.join(tmpdir(), "rivulet-test-"));
  const database = await startPostgres({ dataDir, mayCreateDatabases: true });
  process.env.TEST_DATABASE_URL = database.url;
  try {
    return await work();
  } finally {
    await database.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Runs the suites in order, then lists their counts and what failed. A suite that breaks counts as one failure. */
export async function runSuites(suites: Suite[]): Promise<{ passed: number; failed: number }> {
  const total = { passed: 0, failed: 0 };
  const summary: string[] = [];
  const failures: string[] = [];
  for (const { name, run } of suites) {
    if (askedToEnd()) break;
    console.log(`\n── ${name}`);
    const begin = performance.now();
    const count = await run().catch((error: Error) => {
      console.error(error.message);
      return one(false);
    });
    total.passed += count.passed;
    total.failed += count.failed;
    for (const title of count.failures ?? []) failures.push(`✗ ${name}: ${title}`);
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    summary.push(`${count.failed ? "✗" : "✓"} ${name}: ${count.passed} passed, ${count.failed} failed (${seconds} s)`);
  }
  console.log(`\n${[...summary, ...failures].join("\n")}`);
  return total;
}

function check(name: string, commands: string[][]): Suite {
  return {
    name,
    async run() {
      for (const argv of commands) if ((await runNode(argv, process.env)) !== 0) return one(false);
      return one(true);
    },
  };
}

type Selection = {
  /** Only tests that prove a promise, whose results go here. */
  collected?: Proof[];
  /** Without `slowTests`. */
  quick?: boolean;
};

/** The vitest.config.ts projects with this name, which may end in `*`. */
function vitest(name: string, project: string, { collected, quick }: Selection = {}): Suite {
  return {
    name,
    run: () =>
      withReport(async (report) => {
        const argv = [path.join(nodeModules, "vitest/vitest.mjs"), "run", "--project", project];
        const shown = collected ? ["--reporter=verbose", "--hideSkippedTests"] : ["--reporter=default"];
        const selection = collected ? ["-t", promised.source] : [];
        const env = { ...process.env, NODE_ENV: "test" as const, QUICK_TESTS: quick ? "on" : "" };
        const code = await runNode(
          [...argv, ...selection, ...shown, "--reporter=json", `--outputFile.json=${report}`],
          env,
        );
        return settle(proofsOfVitest(readReport(report)), code, collected);
      }),
  };
}

function playwright(name: string, { collected, quick }: Selection = {}): Suite {
  return {
    name,
    run: () =>
      withReport(async (report) => {
        const argv = [path.join(nodeModules, "playwright/cli.js"), "test", "--config=e2e/playwright.config.ts"];
        const selection = collected ? ["--grep", promised.source] : [];
        if (quick) selection.push("--grep-invert", slowJourneys);
        const code = await runNode([...argv, ...selection, "--reporter=list,json"], {
          ...process.env,
          PLAYWRIGHT_JSON_OUTPUT_NAME: report,
          NODE_ENV: "test",
        });
        return settle(proofsOfPlaywright(readReport(report)), code, collected);
      }),
  };
}

function one(passed: boolean): Count {
  return passed ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/**
 * A skipped test counts as failed: it proves nothing. A run that fails without a failed test (a
 * broken hook, a file that does not load) counts as a failure too.
 */
function settle(all: Proof[], code: number, collected?: Proof[]): Count {
  // Vitest also reports unselected tests as skipped.
  const tests = collected ? all.filter(({ title }) => promised.test(title)) : all;
  collected?.push(...tests);
  const failures = tests.filter(({ passed }) => !passed).map(({ title }) => title);
  const failed = failures.length;
  if (tests.length === 0) return one(false);
  return { passed: tests.length - failed, failed: code !== 0 ? Math.max(1, failed) : failed, failures };
}

async function withReport(work: (file: string) => Promise<Count>): Promise<Count> {
  const folder = mkdtempSync(path.join(tmpdir(), "rivulet-report-"));
  try {
    return await work(path.join(folder, "report.json"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(file: string) {
  if (!existsSync(file)) throw new Error("The suite ended without a report.");
  return JSON.parse(readFileSync(file, "utf8"));
}

type LockEntry = { version?: string; link?: boolean; dependencies?: object; optionalDependencies?: object };

/**
 * If a registry lacks a platform's package, npm writes a lock file that `npm ci` then refuses on
 * every platform.
 */
function lockFileIsWhole(file: string): boolean {
  const { packages } = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockEntry> };
  const names = new Set(Object.keys(packages).map((key) => key.split("node_modules/").at(-1)));
  const problems: string[] = [];
  for (const [key, entry] of Object.entries(packages)) {
    if (key && !entry.version && !entry.link) problems.push(`${key} has no version`);
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }))
      if (!names.has(name)) problems.push(`${name}, needed by ${key || "package.json"}, is missing`);
  }
  for (const problem of problems) console.error(`${file}: ${problem}.`);
  if (problems.length === 0) console.log(`${file}: ${Object.keys(packages).length} entries, all complete.`);
  return problems.length === 0;
}

/** The path of a Chromium, or undefined for Playwright's own. Installs one when there is none. */
async function obtainChromium(): Promise<string | undefined> {
  const named = process.env.CHROMIUM_PATH;
  if (named) {
    if (existsSync(named)) return named;
    throw new Error(`CHROMIUM_PATH names ${named}, which does not exist.`);
  }
  const found = systemChromium();
  if (found) return found;
  const { chromium } = await import("playwright");
  if (existsSync(chromium.executablePath())) return undefined;

  if (canInstall()) {
    install(["chromium"]);
    const installed = systemChromium();
    if (installed) return installed;
  }
  console.log("Installing Chromium with Playwright …");
  await runNode([path.join(nodeModules, "playwright/cli.js"), "install", "chromium"], process.env);
  if (existsSync(chromium.executablePath())) return undefined;
  throw new Error("There is no Chromium and none could be installed. Install one and set CHROMIUM_PATH to its path.");
}

function systemChromium(): string | undefined {
  const paths = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"].map(
    (name) => `/usr/bin/${name}`,
  );
  // Ubuntu's chromium-browser is a stub for snap: only a program with a version counts.
  return paths.find((file) => existsSync(file) && spawnSync(file, ["--version"], { stdio: "ignore" }).status === 0);
}
