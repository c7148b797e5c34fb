// Installs the clients of package.json, once per version of package-lock.json, and loads them. They are no dependencies of
// the application: together they are 700 MB.
import { createRequire } from "node:module";
import path from "node:path";
import { cacheFolder } from "@/scripts/cache-folder.mjs";
import { installApart, installationOf } from "@/scripts/install-apart";

const installation = installationOf(import.meta.dirname, "clients", cacheFolder());
/** Holds node_modules. */
export const clientsFolder = installation.to;

/** Vitest's global setup of the project `clients`. The first run on a machine takes a minute. */
export function setup(): void {
  installApart(installation, ["load.cjs"]);
}

/**
 * Imports a client by its name in package.json. Untyped: the types are in the cache folder too, and type-checking must not
 * need the installation.
 */
// biome-ignore lint/suspicious/noExplicitAny: see above
export async function load(name: string): Promise<any> {
  return createRequire(path.join(clientsFolder, "package.json"))("./load.cjs")(name);
}
