// Installs the clients of package.json, once per version of package-lock.json, and loads them. They are no dependencies of
// the application: together they are 700 MB.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { cacheFolder } from "@/scripts/cache-folder.mjs";

const here = import.meta.dirname;
const lockHash = createHash("sha256")
  .update(readFileSync(path.join(here, "package-lock.json")))
  .digest("hex");
/** Holds node_modules. */
export const clientsFolder = path.join(cacheFolder(), `clients-${lockHash.slice(0, 16)}`);

/** Vitest's global setup of the project `clients`. The first run on a machine takes a minute. */
export function setup(): void {
  if (existsSync(clientsFolder)) return;
  console.log("Installing the clients of test/clients/package-lock.json …");
  const fresh = mkdtempSync(`${clientsFolder}-`);
  for (const file of ["package.json", "package-lock.json"]) copyFileSync(path.join(here, file), path.join(fresh, file));
  // Imports from here resolve in this folder and are Node's own: the test runner transforms nothing.
  writeFileSync(path.join(fresh, "load.cjs"), "module.exports = (name) => import(name);\n");
  const argv = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status } = spawnSync("npm", argv, { cwd: fresh, stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    throw new Error("The clients could not be installed; the lines above say why.");
  }
  try {
    renameSync(fresh, clientsFolder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another run was faster: its folder is as good as ours.
    if (!existsSync(clientsFolder)) throw error;
  }
}

/**
 * Imports a client by its name in package.json. Untyped: the types are in the cache folder too, and type-checking must not
 * need the installation.
 */
// biome-ignore lint/suspicious/noExplicitAny: see above
export async function load(name: string): Promise<any> {
  return createRequire(path.join(clientsFolder, "package.json"))("./load.cjs")(name);
}
