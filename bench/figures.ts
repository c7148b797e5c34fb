// CPU time and memory of processes from Linux's /proc, and statistics over measurements.
import { readdirSync, readFileSync } from "node:fs";

/** Unit of /proc/<pid>/stat, the same on every Linux that Node runs on. */
const ticksPerSecond = 100;

type Stat = { parent: number; ticks: number };

function statOf(pid: number): Stat | null {
  try {
    // The name in parentheses may contain spaces; the fields after it start with the third.
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
    const at = (number: number) => Number(fields[number - 3]);
    return { parent: at(4), ticks: at(14) + at(15) + at(16) + at(17) };
  } catch {
    // It has ended; its time now counts for its parent.
    return null;
  }
}

export function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => statOf(each)?.parent === pid);
}

/** CPU seconds of the process, its children and those that have ended. */
export function cpuSeconds(pid: number): number {
  const pids = [pid, ...childrenOf(pid)];
  return pids.reduce((sum, each) => sum + (statOf(each)?.ticks ?? 0), 0) / ticksPerSecond;
}

/** Resident memory of the process alone. */
export function memoryBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
}

/** The value below which this share of the values lies. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}
