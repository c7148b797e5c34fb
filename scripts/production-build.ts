// The production build in .next and the failure-test build in .next-chaos (lib/kill-points.ts). A
// fingerprint of every source file tells whether a build is current.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { withLock } from "./lock.ts";

/** Runs Node with these arguments to its end; resolves to its exit code. */
type RunNode = (argv: string[], env: NodeJS.ProcessEnv) => Promise<number>;

export const nextBin = "node_modules/next/dist/bin/next";

const folders = ["app", "components", "db", "lib", "packages/client/src", "public"];
const notBuilt = /\.(test|contract)\.tsx?$|^(next-env\.d|vitest\.config|drizzle\.config)\.ts$/;

/**
 * Builds unless the build is current. Throws when the build fails. One of concurrent calls builds.
 */
export async function ensureBuild(run: RunNode, { force = false, chaos = false } = {}): Promise<void> {
  if (!force && isBuilt(chaos)) return;
  mkdirSync(".cache", { recursive: true });
  await withLock(".cache/build.lock", async () => {
    if (!force && isBuilt(chaos)) return;
    console.log(chaos ? "Building for the failure tests …" : "Building …");
    const { fingerprintFile } = placeOf(chaos);
    // Without a fingerprint an aborted build does not count as one.
    rmSync(fingerprintFile, { force: true });
    const fingerprint = sourceFingerprint();
    if (chaos) writeFileSync(".cache/tsconfig.chaos.json", '{ "extends": "../tsconfig.json" }');
    const env = { ...process.env, NODE_ENV: "production" as const, NEXT_TELEMETRY_DISABLED: "1" };
    const code = await run([nextBin, "build"], { ...env, CHAOS_BUILD: chaos ? "on" : "off" });
    if (code !== 0) throw new Error("The build failed; the lines above say why.");
    writeFileSync(fingerprintFile, fingerprint);
  });
}

export function isBuilt(chaos = false): boolean {
  const { folder, fingerprintFile } = placeOf(chaos);
  return (
    existsSync(`${folder}/BUILD_ID`) &&
    existsSync(fingerprintFile) &&
    readFileSync(fingerprintFile, "utf8") === sourceFingerprint()
  );
}

function placeOf(chaos: boolean) {
  const folder = chaos ? ".next-chaos" : ".next";
  return { folder, fingerprintFile: `${folder}/source-fingerprint` };
}

function sourceFingerprint(): string {
  const hash = createHash("sha256");
  for (const file of sources()) {
    hash.update(`${file}\0`);
    hash.update(createHash("sha256").update(readFileSync(file)).digest());
  }
  return hash.digest("hex");
}

function sources(): string[] {
  const files = readdirSync(".").filter((name) => /\.(ts|tsx|mjs)$/.test(name) || name === "package-lock.json");
  for (const folder of folders) {
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) files.push(path.join(entry.parentPath, entry.name));
  }
  return files.filter((file) => !notBuilt.test(file)).sort();
}
