// Programs that tests need and npm does not provide: found, installed where allowed, otherwise
// requested by name. `npm test` installs them before its first test: a running package manager
// would distort measurements.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const python = (module: string) => ({
  debian: `python3-${module}`,
  probe: ["/usr/bin/python3", "-c", `import ${module}`],
});

/** `debian`: the program's package; `probe`: a command that succeeds if it is installed. */
const programs = {
  curl: { debian: "curl", probe: ["curl", "--version"] },
  jq: { debian: "jq", probe: ["jq", "--version"] },
  httpx: python("httpx"),
  requests: python("requests"),
  jdk: { debian: "default-jdk-headless", probe: ["javac", "-version"] },
  nginx: { debian: "nginx-light", probe: ["nginx", "-v"] },
  caddy: { debian: "caddy", probe: ["caddy", "version"] },
  pgbouncer: { debian: "pgbouncer", probe: ["pgbouncer", "--version"] },
  faketime: { debian: "faketime", probe: ["faketime", "-f", "+0", "true"] },
};

export type Program = keyof typeof programs;
export const allPrograms = Object.keys(programs) as Program[];

/** Throws one sentence that names what is missing. Skips nothing. May take minutes. */
export function requirePrograms(...names: Program[]): void {
  const missing = names
    .map((name) => programs[name])
    .filter(({ probe: [command = "", ...args] }) => spawnSync(command, args).status !== 0)
    .map(({ debian }) => debian);
  if (missing.length === 0) return;
  if (!canInstall()) throw new Error(`These tests need programs of Debian's packages ${missing.join(", ")}.`);
  install(missing);
}

/** Whether this is a Debian system and this account may install packages. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/apt-get");
}

export function install(packages: string[]): void {
  console.log(`Installing ${packages.join(", ")} with apt-get …`);
  // RUNLEVEL=1 keeps packages from starting their services.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  execFileSync("apt-get", ["update", "-qq"], { env });
  execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { env });
}
