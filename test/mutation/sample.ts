// Stryker's plugins: the sample, the ignored mutants, the results.
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import path from "node:path";

type Position = { line: number; column: number };
type Mutant = {
  id: string;
  fileName: string;
  location: { start: Position; end: Position };
  mutatorName: string;
  replacement: string;
  status: string;
};
type NodePath = {
  isStringLiteral(): boolean;
  isTemplateLiteral(): boolean;
  findParent(found: (parent: { node: { callee?: { object?: { name?: string } } } }) => boolean): unknown;
};
/** A tested mutant; `line` counts from 1. */
export type MutantResult = { file: string; line: number; original: string; replacement: string; status: string };

const size = Number(process.env.MUTATION_SAMPLE);

/**
 * Draws `MUTATION_SAMPLE` mutants in random order, equally many from each folder. A rejected mutant counts neither as killed
 * nor as survived.
 */
class Sample {
  #drawn = new Set<string>();

  async init() {}

  /** Called once, with all mutants. They are tested in the order of the groups. */
  async group(mutants: Mutant[]) {
    const byRank = mutants.map((mutant) => ({
      id: mutant.id,
      folder: folderOf(mutant.fileName),
      rank: rankOf(mutant),
    }));
    byRank.sort((a, b) => (a.rank < b.rank ? -1 : 1));
    const folders = Map.groupBy(byRank, ({ folder }) => folder);
    const shares = [...folders.values()].map((share) => share.slice(0, Math.ceil(size / folders.size)));
    this.#drawn = new Set(shares.flat().map(({ id }) => id));
    const [drawn, rest] = [true, false].map((wanted) => byRank.filter(({ id }) => this.#drawn.has(id) === wanted));
    return [...(drawn ?? []).map(({ id }) => [id]), (rest ?? []).map(({ id }) => id)].filter((ids) => ids.length > 0);
  }

  async check(mutants: Mutant[]) {
    const verdict = (id: string) =>
      this.#drawn.has(id) ? { status: "passed" } : { status: "compileError", reason: "not in the sample" };
    return Object.fromEntries(mutants.map(({ id }) => [id, verdict(id)]));
  }
}

const folderOf = (file: string) => path.dirname(path.relative("", file));

function rankOf({ fileName, location, mutatorName, replacement }: Mutant): string {
  const key = [
    process.env.MUTATION_SEED,
    path.relative("", fileName),
    JSON.stringify(location),
    mutatorName,
    replacement,
  ];
  return createHash("sha256").update(key.join("\n")).digest("hex");
}

/** The texts of log lines may change. */
const logText = {
  shouldIgnore(node: NodePath) {
    if (!node.isStringLiteral() && !node.isTemplateLiteral()) return undefined;
    return node.findParent((parent) => parent.node.callee?.object?.name === "logger") ? "log text" : undefined;
  },
};

/** Appends each tested mutant to the file `MUTATION_RESULTS`, as a line of JSON. */
const results = {
  onMutantTested({ fileName, location, replacement, status }: Mutant) {
    if (status === "CompileError" || status === "Ignored") return;
    const original = cut(readFileSync(fileName, "utf8"), location);
    const file = path.relative("", fileName);
    const result: MutantResult = { file, line: location.start.line, original, replacement, status };
    appendFileSync(process.env.MUTATION_RESULTS ?? "", `${JSON.stringify(result)}\n`);
  },
};

function cut(text: string, { start, end }: Mutant["location"]): string {
  const lines = text.split("\n").slice(start.line - 1, end.line);
  lines[lines.length - 1] = lines[lines.length - 1]?.slice(0, end.column - 1) ?? "";
  lines[0] = lines[0]?.slice(start.column - 1) ?? "";
  return lines.join("\n");
}

export const strykerPlugins = [
  { kind: "Checker", name: "sample", injectableClass: Sample },
  { kind: "Ignore", name: "log-text", value: logText },
  { kind: "Reporter", name: "results", value: results },
];
