// Proxies with their Debian packages' configuration in front of a test server: each has its own
// folder and port, and the configuration adds only the server's address.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "@/scripts/free-port";

type Kind = "nginx" | "caddy";

export class Front {
  readonly url: string;
  readonly #kind: Kind;
  readonly #folder: string;
  #process: ChildProcess | null = null;

  private constructor(kind: Kind, folder: string, port: number) {
    this.#kind = kind;
    this.#folder = folder;
    this.url = `http://localhost:${port}`;
  }

  /** `directives`: extra lines for nginx's location. */
  static async start(kind: Kind, target: number, directives = ""): Promise<Front> {
    const folder = mkdtempSync(path.join(tmpdir(), `rivulet-${kind}-`));
    // Its workers run under another account.
    chmodSync(folder, 0o755);
    const port = await freePort();
    const site = kind === "nginx" ? nginx(folder, port, target, directives) : caddy(port, target);
    writeFileSync(path.join(folder, "config"), site);
    const front = new Front(kind, folder, port);
    await front.up();
    return front;
  }

  /** Resolves when it answers for the server behind it. */
  async up(): Promise<void> {
    const file = path.join(this.#folder, "config");
    const argv =
      this.#kind === "nginx"
        ? ["-p", this.#folder, "-c", file, "-g", "daemon off;"]
        : ["run", "--adapter", "caddyfile", "--config", file];
    const env = { PATH: process.env.PATH, HOME: this.#folder, NODE_ENV: "production" as const };
    if (this.#kind === "nginx") execFileSync("nginx", ["-t", "-q", "-p", this.#folder, "-c", file], { env });
    const child = spawn(this.#kind, argv, { env, stdio: "ignore" });
    this.#process = child;
    while (child.exitCode === null) {
      const answer = await fetch(`${this.url}/health`).catch(() => null);
      if (answer?.ok) return;
      await delay(20);
    }
    throw new Error(`${this.#kind} does not start with ${file}`);
  }

  /** Immediately, with every connection. */
  async down(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, "exit");
    // nginx: fast shutdown, workers included. Caddy waits for open streams unless killed.
    child.kill(this.#kind === "nginx" ? "SIGTERM" : "SIGKILL");
    await gone;
  }

  /**
   * nginx only: starts new workers with the same configuration; old ones keep their connections
   * until those end.
   */
  reload(): void {
    this.#process?.kill("SIGHUP");
  }

  async remove(): Promise<void> {
    await this.down();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Debian's nginx.conf; only the paths of the system service and the sites are replaced. */
function nginx(folder: string, port: number, target: number, directives: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${name};`);
  const site = `server { listen ${port}; location / { proxy_pass http://localhost:${target}; ${directives} } }`;
  return (
    readFileSync("/etc/nginx/nginx.conf", "utf8")
      .replace(/^user .*$/m, process.getuid?.() === 0 ? "$&" : "")
      .replace(/^pid .*$/m, `pid ${folder}/nginx.pid;`)
      // Their paths are relative to the folder.
      .replace(/^include \/etc\/nginx\/modules-enabled.*$/m, "")
      .replace(/^error_log .*$/m, "")
      .replaceAll("/var/log/nginx", folder)
      .replace(/^\s*include \/etc\/nginx\/conf\.d.*$/m, temporary.join(" "))
      .replace(/^\s*include \/etc\/nginx\/sites-enabled.*$/m, site)
  );
}

function caddy(port: number, target: number): string {
  return `{\n\tadmin off\n}\nhttp://localhost:${port} {\n\treverse_proxy localhost:${target}\n}\n`;
}
