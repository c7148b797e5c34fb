// A third-party server with OpenAI's API in front of llama.cpp: both from npm, on Linux with glibc.
// Installed on first use into .cache/, because together they are 130 MB and the server is no longer
// maintained.
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { on, once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "@/scripts/free-port";
import { type TinyModel, writeTinyModel } from "./tiny-model";

const folder = path.resolve(".cache/real-server");
const platform = `${process.platform}-${process.arch}`;
/** Platform packages by name: the optional dependencies would include GPU builds. */
const packages = [
  "inference-server@1.0.0-beta.32",
  "node-llama-cpp@3.22.1",
  `@node-llama-cpp/${platform}@3.22.1`,
  `@img/sharp-${platform}@0.33.5`,
  `@img/sharp-libvips-${platform}@1.0.4`,
];

/**
 * As its documentation starts it. Tells the parent when it listens, and for each response whether
 * it was read to its end.
 */
const program = `
import { createExpressServer, InferenceServer } from "inference-server";
const { port, models } = JSON.parse(process.argv[2]);
const server = new InferenceServer({ log: "error", concurrency: 2, cachePath: process.cwd(), models });
server.start();
const http = createExpressServer(server);
http.on("request", (_, response) => {
  response.on("close", () => process.send(response.writableFinished ? "whole" : "left"));
});
http.listen(port, "127.0.0.1", () => process.send("listening"));
`;

/** `contextSize` is in tokens; one byte of a prompt is one token. */
export type ServedModel = TinyModel & { contextSize?: number };

export class LlamaServer {
  /** The value for OPENAI_BASE_URL. */
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.url = `http://127.0.0.1:${port}/openai/v1`;
    this.#process = child;
  }

  /** May take a minute the first time. */
  static require(): void {
    if (existsSync(path.join(folder, "node_modules/.package-lock.json"))) return;
    mkdirSync(folder, { recursive: true });
    const options = [
      "--no-save",
      "--no-audit",
      "--no-fund",
      "--ignore-scripts",
      "--legacy-peer-deps",
      "--omit=optional",
    ];
    const { status } = spawnSync("npm", ["i", ...options, "--prefix", folder, ...packages], { stdio: "inherit" });
    if (status !== 0) throw new Error(`npm could not install ${packages.join(", ")}.`);
  }

  /** Listens before its models are loaded. */
  static async start(models: Record<string, ServedModel>): Promise<LlamaServer> {
    const port = await freePort();
    const configured = Object.entries(models).map(([name, { contextSize = 4_096, ...model }]) => {
      const location = path.join(folder, `${name}.gguf`);
      writeTinyModel(location, model);
      const device = { gpu: false, cpuThreads: 1 };
      return [name, { task: "text-completion", engine: "node-llama-cpp", location, contextSize, device }];
    });
    const script = path.join(folder, "serve.mjs");
    writeFileSync(script, program);
    const settings = JSON.stringify({ port, models: Object.fromEntries(configured) });
    const child = fork(script, [settings], { cwd: folder, stdio: ["ignore", "ignore", "ignore", "ipc"] });
    const server = new LlamaServer(port, child);
    await server.reported("listening");
    return server;
  }

  /** Resolves at the server's next message of this kind: it listens, or how a response ended. */
  async reported(what: "listening" | "whole" | "left"): Promise<void> {
    for await (const [message] of on(this.#process, "message", { close: ["exit"] })) if (message === what) return;
    throw new Error("The model server ended.");
  }

  async close(): Promise<void> {
    const exit = once(this.#process, "exit");
    this.#process.kill();
    await exit;
  }
}
