// `npm run bench`: Rivulet beside its peers, in one run on one machine, against the same provider.
// Rounds are interleaved, so that a busy moment hits all alike; results are medians of the rounds.
// Prints Markdown, writes JSON. `--quick` runs one round of the work named by the targets.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import {
  type Contender,
  pinned,
  startNode,
  startProvider,
  startQuickstart,
  startRelay,
  startRivulet,
  stopAll,
} from "./contenders.ts";
import { Load, measureMemory, measureReaders, measureWork, type Work } from "./measure.ts";
import { judge, type Results, tableOf } from "./report.ts";

const { values: options } = parseArgs({
  options: { quick: { type: "boolean", default: false }, out: { type: "string", default: ".cache/bench.json" } },
});
if (process.platform !== "linux") {
  console.error("The bench reads CPU times and memory from /proc: it runs on Linux only.");
  process.exit(1);
}

const tokens = 200;
const fast = (streams: number, turns: number): Work => ({ name: `${streams} fast`, streams, turns, tokens, rate: 0 });
/** Longer, so that all streams overlap for seconds: the start of 500 turns is not measured. */
const at50 = (streams: number): Work => ({ name: `${streams} at 50/s`, streams, turns: 1, tokens: 500, rate: 50 });

// Enough turns for a few seconds per contender; in a longer round its start matters less.
const workloads: Work[] = options.quick
  ? [fast(1, 20), fast(200, 2), at50(500)]
  : [fast(1, 30), fast(50, 10), fast(200, 3), fast(500, 2), at50(1), at50(50), at50(200), at50(500)];
const rounds = options.quick ? 1 : 3;
const warmUp = fast(50, options.quick ? 3 : 6);

for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, async () => {
    await stopAll(contenders);
    process.exit(1);
  });

const contenders: Contender[] = [];
try {
  const { contender: provider, process: providerProcess } = await startProvider();
  const { port } = provider.target;
  contenders.push(provider);
  const load = new Load(startNode(["bench/load.ts"]));
  const results: Results = {
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}`,
    pinned,
    rounds,
    contenders: [],
    works: workloads,
    figures: {},
    memory: {},
    readers: [],
  };

  for (const start of [startRelay, startQuickstart, startRivulet]) {
    const contender = await start(port);
    contenders.push(contender);
    // Immediately: V8's heap headroom depends on idle time.
    say(`memory of (${contender.name})`);
    results.memory[contender.name] = await measureMemory(load, contender, providerProcess);
  }
  results.contenders = contenders.map(({ name, label }) => ({ name, label }));
  for (const contender of contenders) {
    say(`warm-up of (${contender.name})`);
    await measureWork(load, contender, warmUp);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const work of workloads) {
      for (const contender of contenders) {
        say(`round ${round} of ${rounds}: ${work.name}, (${contender.name})`);
        const figures = await measureWork(load, contender, work);
        for (const error of figures.errors.slice(0, 3)) console.error(`(${contender.name}) ${work.name}: ${error}`);
        results.figures[work.name] ??= {};
        const mine = results.figures[work.name] as Record<string, (typeof figures)[]>;
        mine[contender.name] = [...(mine[contender.name] ?? []), figures];
      }
    }
  }
  const rivulet = contenders.at(-1) as Contender;
  for (const readers of [1, 200]) {
    say(`${readers} readers of one turn`);
    results.readers.push(await measureReaders(load, rivulet, readers));
  }

  say("");
  const verdicts = judge(results);
  const where = pinned ? "the server on one core, everything else on the rest" : "not pinned to cores";
  console.log(`${results.machine}; ${where}; ${rounds} rounds, medians.\n\n${tableOf(results)}\n`);
  for (const { target, measured, held } of verdicts)
    console.log(`- ${held ? "held" : "missed"}: ${target}: ${measured}`);
  if (options.out.includes("/")) mkdirSync(options.out.slice(0, options.out.lastIndexOf("/")), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify({ ...results, verdicts }, null, 2)}\n`);
} finally {
  await stopAll(contenders);
}
process.exit(0);

function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}
