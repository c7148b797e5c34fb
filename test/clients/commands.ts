// Clients that are programs of their own, from Debian's packages: how each of them reads a stream.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import path from "node:path";
import { requirePrograms } from "@/scripts/debian";
import type { Asked } from "./http-libraries";

const programs = path.join(import.meta.dirname, "programs");
const python = "/usr/bin/python3";
const classes = path.join(tmpdir(), "rivulet-clients-classes");

/** For `beforeAll`. May take minutes the first time. */
export function installCommands(): void {
  requirePrograms("curl", "httpx", "requests", "jdk");
  const { status, stderr } = spawnSync("javac", ["-d", classes, path.join(programs, "StreamAnswer.java")]);
  if (status !== 0) throw new Error(`javac failed: ${stderr}`);
}

/** Its output as it comes. Throws what it said when it ends with another code than 0. */
export type Command = (asked: Asked) => AsyncGenerator<string>;

function curl(...options: string[]): Command {
  return ({ url, token, body }) =>
    run("curl", [
      ...["--silent", "--show-error", "--no-buffer", "--fail", ...options, url],
      ...["--header", `Authorization: Bearer ${token}`, "--header", "Content-Type: application/json"],
      ...["--header", "Accept: text/event-stream", "--data", JSON.stringify(body)],
    ]);
}

function program(command: string, ...argv: string[]): Command {
  return ({ url, token, body }) => run(command, argv, { URL: url, TOKEN: token, BODY: JSON.stringify(body) });
}

const streamAnswer = path.join(programs, "stream_answer.py");
/** The rest of the options makes it start faster. */
const java = ["-cp", classes, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "StreamAnswer"];

export const commands: { name: string; read: Command }[] = [
  { name: "curl, HTTP/1.0", read: curl("--http1.0") },
  { name: "curl, HTTP/1.1", read: curl("--http1.1") },
  { name: "curl, upgrade to HTTP/2", read: curl("--http2") },
  { name: "httpx", read: program(python, streamAnswer, "httpx") },
  { name: "requests", read: program(python, streamAnswer, "requests") },
  { name: "Java's HttpClient", read: program("java", ...java, "HTTP_2") },
  { name: "Java's HttpClient, HTTP/1.1", read: program("java", ...java, "HTTP_1_1") },
];

async function* run(command: string, argv: string[], env: Record<string, string> = {}): AsyncGenerator<string> {
  const child = spawn(command, argv, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const exited = once(child, "exit");
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  for await (const piece of child.stdout.setEncoding("utf8")) yield piece;
  const [code] = await exited;
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${complaint}`);
}
