// Programs that tests need and npm does not have: looked for, installed where that is allowed, else asked for by name.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** `probe` is a command that succeeds where the tool is there; `debian` the package it comes from. */
export type Tool = { name: string; debian: string; probe: string[] };

/** Throws one sentence that names what is missing. Nothing is skipped. May take minutes. */
export function requireTools(tools: Tool[]): void {
  const missing = tools.filter(({ probe: [command = "", ...args] }) => spawnSync(command, args).status !== 0);
  if (missing.length === 0) return;
  const packages = missing.map(({ debian }) => debian);
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get"))
    throw new Error(
      `These tests need ${missing.map(({ name }) => name).join(", ")}. On Debian: apt-get install ${packages.join(" ")}`,
    );
  // RUNLEVEL=1: a package that brings a service does not start it.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  execFileSync("apt-get", ["update", "-qq"], { env });
  execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { env });
}
