// `npm run mutation`: mutation tests of lib/log, lib/turn and lib/dialects on a random sample; see docs/reliability.md.
import { randomInt } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import type { MutantResult } from "@/test/mutation/sample";
import { installApart, installationOf } from "./install-apart.ts";
import { askedToEnd, runNode } from "./processes.ts";
import { withTestDatabase } from "./suites.ts";

const { values } = parseArgs({
  options: { sample: { type: "string" }, minutes: { type: "string" }, seed: { type: "string" } },
});
const sample = Number(values.sample ?? 240);
const minutes = Number(values.minutes ?? 25);
const seed = values.seed ?? String(randomInt(0x7fff_ffff));

// Inside the repository: Stryker must find its Vitest.
const installation = installationOf(path.resolve("test/mutation"), "stryker", path.resolve(".cache"));
installApart(installation, [".npmrc"]);

const again = `npm run mutation -- --sample ${sample} --seed ${seed}`;
console.log(`${sample} mutants, at most ${minutes} minutes. The same mutants again: ${again}`);
const file = path.resolve(".cache/mutation.jsonl");
rmSync(file, { force: true });
const begin = performance.now();
const stryker = path.join(installation.to, "node_modules/@stryker-mutator/core/bin/stryker.js");
const env = { ...process.env, MUTATION_SAMPLE: String(sample), MUTATION_SEED: seed, MUTATION_RESULTS: file };
const code = await withTestDatabase(() =>
  runNode([stryker, "run", "test/mutation/stryker.config.ts"], env, { timeout: minutes * 60_000 }),
);
// Stryker leaves its copy behind when it is stopped.
rmSync(".cache/mutation", { recursive: true, force: true });
const results = existsSync(file) ? readResults() : [];
print(results);
const took = (performance.now() - begin) / 60_000;
console.log(`\n${results.length} of ${sample} mutants tested in ${took.toFixed(1)} minutes, seed ${seed}.`);
const broke = code !== 0 && took < minutes;
if (broke) console.error(`Stryker ended early, with exit code ${code}.`);
process.exitCode = askedToEnd() || broke ? code || 1 : 0;

function readResults(): MutantResult[] {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

function print(results: MutantResult[]): void {
  const survivors = results.filter(({ status }) => status === "Survived" || status === "NoCoverage");
  for (const { file, line, original, replacement, status } of survivors)
    console.log(`${status} ${file}:${line} ${oneLine(original)} -> ${oneLine(replacement)}`);
  console.log("\n| folder | killed | timed out | survived | no coverage | score |\n|---|---:|---:|---:|---:|---:|");
  for (const folder of ["lib/log", "lib/turn", "lib/dialects", "lib"]) {
    const within = results.filter(({ file }) => file.startsWith(`${folder}/`));
    const count = (status: string) => within.filter((result) => result.status === status).length;
    const [killed, timedOut] = [count("Killed") + count("RuntimeError"), count("Timeout")];
    const score = within.length ? `${Math.round(((killed + timedOut) / within.length) * 100)} %` : "–";
    console.log(
      `| ${folder === "lib" ? "all" : `\`${folder}\``} | ${killed} | ${timedOut} | ${count("Survived")} | ${count("NoCoverage")} | ${score} |`,
    );
  }
}

function oneLine(code: string): string {
  const short = code.replace(/\s+/g, " ");
  return short.length > 120 ? `${short.slice(0, 117)}…` : short;
}
