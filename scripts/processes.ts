// Child processes that end when we are asked to end. One signal handler for all of a script: a child gets the signal
// once from here, and perhaps once more from whoever signalled the whole process group.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { constants } from "node:os";

const running = new Set<ChildProcess>();
let asked = false;
let killAfterMs = 5_000;

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
  process.on(signal, () => {
    if (asked) return;
    asked = true;
    for (const child of running) end(child, signal);
  });

/** True from the first SIGTERM, SIGINT or SIGHUP on. */
export const askedToEnd = () => asked;

/** From now on every running child gets this signal, too. */
export function forwardSignal(signal: NodeJS.Signals): void {
  process.on(signal, () => {
    for (const child of running) child.kill(signal);
  });
}

/** How long a child that was asked to end may take before it is killed. */
export function allowForEnding(milliseconds: number): void {
  killAfterMs = milliseconds;
}

/** Runs Node to its end and resolves to its exit code, or 128 + the number of the signal that ended it. */
export function runNode(argv: string[], env: NodeJS.ProcessEnv, options: SpawnOptions = {}): Promise<number> {
  return run(process.execPath, argv, { ...options, env });
}

export function run(command: string, argv: string[], options: SpawnOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    if (asked) return resolve(128 + constants.signals.SIGTERM);
    const child = spawn(command, argv, { stdio: "inherit", ...options });
    running.add(child);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      running.delete(child);
      resolve(signal ? 128 + constants.signals[signal] : (code ?? 1));
    });
  });
}

function end(child: ChildProcess, signal: NodeJS.Signals): void {
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  child.on("exit", () => clearTimeout(timer));
}
