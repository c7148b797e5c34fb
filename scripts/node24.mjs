// Runs a script of this folder on Node 24: `node scripts/node24.mjs scripts/start.ts [args]`. With
// an older Node it downloads Node 24 from the npm registry once. Runs on Node 20 and before `npm
// ci`: node: modules only, here and in imports.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { constants as osConstants } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { cacheFolder } from "./cache-folder.mjs";

const wantedMajor = 24;
const version = "24.21.0";
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const parentWatch = pathToFileURL(path.join(root, "scripts/parent.mjs")).href;

const [script, ...args] = process.argv.slice(2);
if (!script) fail("Usage: node scripts/node24.mjs <script.ts> [arguments]");
process.chdir(root);

// npm forwards signals, but cannot forward a SIGKILL of itself.
if (process.env.npm_lifecycle_event) await import(parentWatch);

const recent = Number(process.versions.node.split(".")[0]) >= wantedMajor;
const node = recent ? process.execPath : obtainNode();
// Child processes, npm included, find the same Node.
process.env.PATH = [path.dirname(node), process.env.PATH].join(path.delimiter);
// npm exports the Node it runs on; scripts that trust it would fall back to the old one.
process.env.npm_node_execpath = node;
process.env.NODE = node;

if (!path.basename(script).startsWith("test")) {
  if (!existsSync("node_modules")) fail("The packages are not installed. Run `npm ci` first.");
} else if (!installed()) {
  console.log("Installing the packages of package-lock.json …");
  const { status } = npm(["ci", "--no-audit", "--no-fund"], { stdio: "inherit" });
  if (status !== 0) fail("`npm ci` failed; the lines above say why.");
}

if (recent) {
  process.argv.splice(1, 2, path.resolve(script));
  await import(pathToFileURL(path.resolve(script)).href);
} else {
  const child = spawn(node, ["--disable-warning=ExperimentalWarning", "--import", parentWatch, script, ...args], {
    stdio: "inherit",
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`Node.js ${version} could not be started from ${node}: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(signal ? 128 + osConstants.signals[signal] : code));
}

/** npm's record of the installation is older than a lock file that changed since. */
function installed() {
  const record = path.join(root, "node_modules/.package-lock.json");
  const lock = path.join(root, "package-lock.json");
  return existsSync(record) && statSync(record).mtimeMs >= statSync(lock).mtimeMs;
}

/** The path of a Node 24 binary; downloads it on first use. */
function obtainNode() {
  const name = packageName();
  const binary = path.join("node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
  const folder = path.join(cacheFolder(), `${name}-${version}`);
  if (existsSync(path.join(folder, binary))) return path.join(folder, binary);

  console.log(
    `Rivulet runs on Node.js ${wantedMajor}; this is ${process.version}. Fetching ${version} from npm, once …`,
  );
  const fresh = mkdtempSync(`${folder}-`);
  const { status, error } = npm(
    ["i", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", fresh, `${name}@${version}`],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  if (status !== 0 || !existsSync(path.join(fresh, binary))) {
    rmSync(fresh, { recursive: true, force: true });
    fail(`Node.js ${version} could not be fetched from npm${error ? ` (${error.message})` : ""}. ${byHand()}`);
  }
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another start was faster; its folder is equivalent.
    if (!existsSync(path.join(folder, binary))) throw error;
  }
  return path.join(folder, binary);
}

function packageName() {
  const { platform, arch } = process;
  const musl = platform === "linux" && !process.report.getReport().header.glibcVersionRuntime;
  const known = ["linux-x64", "linux-arm64", "win32-x64"].includes(`${platform}-${arch}`);
  if (known && !musl) return `node-${platform === "win32" ? "win" : platform}-${arch}`;
  const machine = `${platform}-${arch}${musl ? " (musl)" : ""}`;
  return fail(`Rivulet needs Node.js ${wantedMajor} or newer; this is ${process.version} on ${machine}. ${byHand()}`);
}

function byHand() {
  return `Install Node.js ${wantedMajor} or newer (https://nodejs.org) and run the command again.`;
}

/** npm by the path it was started from: the same npm, and no shell on Windows. */
function npm(argv, options) {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith(".js")) return spawnSync(process.execPath, [cli, ...argv], options);
  return spawnSync("npm", argv, { ...options, shell: process.platform === "win32" });
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
