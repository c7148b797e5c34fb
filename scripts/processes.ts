// Child processes that end when the script is asked to. One signal handler per script: it signals
// each child once, and a signal to the whole process group may reach it a second time.
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

/** From now on every running child gets this signal too. */
export function forwardSignal(signal: NodeJS.Signals): void {
  process.on(signal, () => {
    for (const child of running) child.kill(signal);
  });
}

/** Grace period before a child that was asked to end is killed. */
export function allowForEnding(milliseconds: number): void {
  killAfterMs = milliseconds;
}

/** Runs Node to its end; resolves to its exit code, or 128 + the signal number. */
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
