// The package `rivulet-client` as its users get it: packed by npm and unpacked into a folder outside
// the project, beside the packages that it and its users need.
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { withLock } from "@/scripts/lock";

const root = path.dirname(import.meta.dirname);
const run = promisify(execFile);

/**
 * Like `npm install <tarball>` in `folder`, offline: dependencies are links to the project's own.
 * Resolves to the package's folder. Throws if the package does not build.
 */
export async function installPackedClient(folder: string): Promise<string> {
  const source = path.join(root, "packages/client");
  const installed = path.join(folder, "node_modules/rivulet-client");
  await mkdir(installed, { recursive: true });
  await mkdir(path.join(root, ".cache"), { recursive: true });
  // Two builds at a time would delete each other's files.
  await withLock(path.join(root, ".cache/pack.lock"), () =>
    run("npm", ["pack", "--offline", "--pack-destination", folder], {
      cwd: source,
      shell: process.platform === "win32",
    }),
  );
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  if (!tarball) throw new Error("npm made no tarball.");
  await run("tar", ["-xzf", path.join(folder, tarball), "-C", installed, "--strip-components=1"]);
  await rm(path.join(folder, tarball));
  const { dependencies, peerDependencies } = JSON.parse(await readFile(path.join(installed, "package.json"), "utf8"));
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), "@ai-sdk", "@types"])
    await symlink(path.join(root, "node_modules", name), path.join(folder, "node_modules", name), "junction");
  return installed;
}
