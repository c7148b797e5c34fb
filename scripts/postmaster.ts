// Whether the process that a pid file names is still that process.
import { readlinkSync } from "node:fs";

export function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether a process works in this folder, as a postmaster does in its data directory. False for another process, and for a dead one nobody has reaped. */
export function worksIn(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === folder;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES";
  }
}
