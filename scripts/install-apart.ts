// Installs npm packages that are no dependencies of the application, on first use. A folder per version of the lock file.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";

/** `to`: will contain `node_modules`. */
export type Installation = { from: string; to: string };

/** Installs the lock file in `from` to a folder in `parent`, named after `name` and the lock file's hash. */
export function installationOf(from: string, name: string, parent: string): Installation {
  const lockHash = createHash("sha256")
    .update(readFileSync(path.join(from, "package-lock.json")))
    .digest("hex");
  return { from, to: path.join(parent, `${name}-${lockHash.slice(0, 16)}`) };
}

/** Does nothing if installed. Copies `files` of `from` too. Safe to call in several processes at a time. */
export function installApart({ from, to }: Installation, files: string[]): void {
  if (existsSync(to)) return;
  console.log(`Installing the packages of ${path.relative("", path.join(from, "package-lock.json"))} …`);
  mkdirSync(path.dirname(to), { recursive: true });
  const fresh = mkdtempSync(`${to}-`);
  for (const file of ["package.json", "package-lock.json", ...files])
    copyFileSync(path.join(from, file), path.join(fresh, file));
  const argv = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status } = spawnSync("npm", argv, { cwd: fresh, stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    throw new Error("The packages could not be installed; the lines above say why.");
  }
  try {
    renameSync(fresh, to);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another run was faster: its folder is as good as ours.
    if (!existsSync(to)) throw error;
  }
}
