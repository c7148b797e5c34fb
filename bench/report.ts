// Renders the results as Markdown, with each target as held or missed.
import { median } from "./figures.ts";
import type { Figures, ReadersFigures, Work } from "./measure.ts";

export type Results = {
  machine: string;
  pinned: boolean;
  rounds: number;
  contenders: { name: string; label: string }[];
  works: Work[];
  /** By workload, then contender: one per round. */
  figures: Record<string, Record<string, Figures[]>>;
  /** By contender, in bytes. */
  memory: Record<string, number>;
  readers: ReadersFigures[];
};

/** The medians over all rounds of one workload for one contender. */
export function summaryOf({ figures }: Results, work: string, contender: string) {
  const rounds = figures[work]?.[contender] ?? [];
  const own = figures[work]?.a ?? [];
  const of = (pick: (each: Figures) => number | null, from = rounds) => median(from.map((each) => pick(each) ?? 0));
  return {
    firstTokenP50Ms: of((each) => each.firstTokenMs.p50) - of((each) => each.firstTokenMs.p50, own),
    firstTokenP99Ms: of((each) => each.firstTokenMs.p99) - of((each) => each.firstTokenMs.p99, own),
    tokensPerSecond: of((each) => each.tokensPerSecond),
    serverCpu: of((each) => each.serverCpu),
    databaseCpu: of((each) => each.databaseCpu),
    gapMs: of((each) => each.gapMs),
    commitsPerSecond: of((each) => each.commitsPerSecond),
    errors: rounds.reduce((sum, each) => sum + each.errors.length, 0),
  };
}

export function tableOf(results: Results): string {
  const head = [
    "first token over the provider's, p50",
    "p99",
    "tokens/s",
    "server CPU, µs a token",
    "Postgres CPU, µs a token",
    "largest gap, p99",
    "commits/s",
    "errors",
  ];
  const lines = [`| work | contender | ${head.join(" | ")} |`, `|---|---|${head.map(() => "---:").join("|")}|`];
  for (const work of results.works) {
    for (const { name, label } of results.contenders) {
      const is = summaryOf(results, work.name, name);
      const own = name === "a";
      const database = name === "d";
      const cells = [
        own ? "–" : `${is.firstTokenP50Ms.toFixed(1)} ms`,
        own ? "–" : `${is.firstTokenP99Ms.toFixed(1)} ms`,
        Math.round(is.tokensPerSecond).toLocaleString("en"),
        (is.serverCpu * 1_000).toFixed(1),
        database ? (is.databaseCpu * 1_000).toFixed(1) : "–",
        `${is.gapMs.toFixed(0)} ms`,
        database ? is.commitsPerSecond.toFixed(0) : "–",
        String(is.errors),
      ];
      lines.push(`| ${work.name} | (${name}) ${label} | ${cells.join(" | ")} |`);
    }
  }
  lines.push("", "| contender | memory for an open stream |", "|---|---:|");
  for (const { name, label } of results.contenders) {
    const bytes = results.memory[name];
    if (bytes !== undefined) lines.push(`| (${name}) ${label} | ${(bytes / 1_024).toFixed(0)} KiB |`);
  }
  lines.push("", "| readers of one turn | transactions/s | Postgres CPU, % of a core |", "|---:|---:|---:|");
  for (const { readers, transactionsPerSecond, databaseCpu } of results.readers)
    lines.push(`| ${readers} | ${transactionsPerSecond.toFixed(0)} | ${(databaseCpu * 100).toFixed(1)} |`);
  return lines.join("\n");
}

export type Verdict = { target: string; measured: string; held: boolean };

export function judge(results: Results): Verdict[] {
  const verdicts: Verdict[] = [];
  const say = (target: string, measured: string, held: boolean) => verdicts.push({ target, measured, held });
  const of = (work: string, contender: string) => summaryOf(results, work, contender);
  const [c, d] = [of("200 fast", "c"), of("200 fast", "d")];
  const speed = d.tokensPerSecond / c.tokensPerSecond;
  say("200 fast: tokens/s of (d) at least 1.5 times (c)", `${speed.toFixed(2)} times`, speed >= 1.5);
  const cpu = d.serverCpu / c.serverCpu;
  say("200 fast: server CPU a token of (d) at most 0.67 times (c)", `${cpu.toFixed(2)} times`, cpu <= 0.67);
  const memory = (results.memory.d ?? Number.NaN) / (results.memory.c ?? Number.NaN);
  say("memory for an open stream of (d) at most 0.5 times (c)", `${memory.toFixed(2)} times`, memory <= 0.5);
  const paced = of("500 at 50/s", "d");
  const share = paced.tokensPerSecond / (500 * 50);
  say("500 at 50/s: at least 99 % of the ideal tokens/s", `${(share * 100).toFixed(1)} %`, share >= 0.99);
  say("500 at 50/s: largest gap at most 250 ms, p99", `${paced.gapMs.toFixed(0)} ms`, paced.gapMs <= 250);
  const first = of("1 fast", "d").firstTokenP50Ms;
  say("1 fast: first token at most 15 ms over the provider's, p50", `${first.toFixed(1)} ms`, first <= 15);
  const [one, many] = [results.readers[0], results.readers.at(-1)];
  if (one && many) {
    const times = many.transactionsPerSecond / one.transactionsPerSecond;
    // The database updates its count once a second, so a five-second window is off by at most a
    // fifth.
    say(`${many.readers} readers of one turn: transactions as with one`, `${times.toFixed(2)} times`, times <= 1.2);
  }
  const errors = results.works.flatMap(({ name }) =>
    results.contenders.map((contender) => of(name, contender.name).errors),
  );
  const sum = errors.reduce((total, each) => total + each, 0) + results.readers.flatMap((each) => each.errors).length;
  say("no errors", `${sum}`, sum === 0);
  return verdicts;
}
