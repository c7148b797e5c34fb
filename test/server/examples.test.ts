// The examples as readers run them: real clients, real server, real browser, over a connection that
// splits, rewrites and cuts. `docs/SSE_STREAMING_API.md` shows nothing else; sse-document.test.ts
// tests it.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requirePrograms } from "@/scripts/debian";
import { startCrlfProxy } from "@/test/crlf-proxy";
import { startFaultProxy } from "@/test/fault-proxy";
import { installPackedClient } from "@/test/packed-client";
import type { Script } from "@/test/provider";
import type { TestUser } from "@/test/server";
import { newKey, testCluster } from "./cluster";

const folder = path.resolve("examples");

beforeAll(() => requirePrograms("curl", "jq", "httpx", "requests"), 300_000);

/** Serves the folder from another site whose pages call the server: CORS is part of the example. */
const site = createServer(async (request, response) => {
  const name = path.basename(new URL(request.url ?? "", siteUrl).pathname);
  response.setHeader("content-type", name.endsWith(".mjs") ? "text/javascript" : "text/html; charset=utf-8");
  const files = ["browser-fetch.html", "sse-events.mjs"];
  if (name in reactPages) response.end(await reactPages[name]);
  else if (files.includes(name)) response.end(await readFile(path.join(folder, name)));
  else response.writeHead(404).end();
});
await new Promise<void>((resolve) => site.listen(0, resolve));
const siteUrl = `http://localhost:${(site.address() as AddressInfo).port}`;

/** Has `rivulet-client` installed, for react-kit.tsx. */
const project = await mkdtemp(path.join(tmpdir(), "rivulet-example-"));

/** A page with only this component, which reads its settings from the URL. */
async function pageOf(file: string, component: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { createRoot } from "react-dom/client";
        import { ${component} } from "./${file}";
        const settings = Object.fromEntries(new URLSearchParams(location.search));
        createRoot(document.body).render(<${component} {...settings} session={1} />);`,
      loader: "tsx",
      resolveDir: folder,
    },
    bundle: true,
    write: false,
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    nodePaths: [path.join(project, "node_modules")],
    // Without our aliases: the package comes from where it is installed.
    tsconfigRaw: {},
  });
  return `<!doctype html><body><script type="module">${outputFiles[0]?.text}</script>`;
}
const reactPages: Record<string, Promise<string>> = {
  "react.tsx": pageOf("react.tsx", "Ask"),
  "react-kit.tsx": installPackedClient(project).then(() => pageOf("react-kit.tsx", "Chat")),
};
beforeAll(() => Promise.all(Object.values(reactPages)), 300_000);
afterAll(() => rm(project, { recursive: true, force: true }));

const cluster = testCluster({ env: { CORS_ORIGINS: siteUrl, HEARTBEAT_MS: "50" } });

let browser: Browser;
beforeAll(async () => {
  const named = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
  browser = await chromium.launch({
    executablePath: existsSync(named) ? named : undefined,
    args: ["--no-sandbox", "--disable-gpu"],
  });
}, 60_000);
afterAll(async () => {
  await browser?.close();
  site.close();
});

type Ask = { url: string; user: TestUser; question: string };
type Running = {
  /** Resolves when the example has printed this. */
  printed(text: string): Promise<void>;
  /** Everything it printed of the answer, its other output, and whether it reported a failure. */
  ended: Promise<{ answer: string; output: string; failed: boolean }>;
};
type Example = (ask: Ask) => Running | Promise<Running>;

const command =
  (...argv: string[]): Example =>
  ({ url, user, question }) => {
    const [file = "", ...args] = argv;
    const child = spawn(file, [...args, question], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env.PATH,
        NODE_ENV: "production",
        PYTHONDONTWRITEBYTECODE: "1",
        RIVULET_URL: url,
        RIVULET_TOKEN: user.token,
        RIVULET_USER: user.userId,
      },
    });
    let answer = "";
    let output = "";
    const watchers = new Set<() => void>();
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
      for (const look of watchers) look();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    return {
      printed: (text) =>
        new Promise((resolve, reject) => {
          const look = () => answer.includes(text) && resolve();
          watchers.add(look);
          child.on("close", () => reject(new Error(`It printed ${answer} and then ended: ${output}`)));
          look();
        }),
      ended: new Promise((resolve) =>
        child.on("close", (code) => resolve({ answer: answer.replace(/\n$/, ""), output, failed: code === 1 })),
      ),
    };
  };

const page =
  (address: (ask: Ask) => string, prepare: (context: BrowserContext, ask: Ask) => Promise<void>): Example =>
  async (ask) => {
    const context = await browser.newContext();
    await prepare(context, ask);
    const tab = await context.newPage();
    await tab.goto(address(ask));
    for (const [name, value] of Object.entries({ url: ask.url, token: ask.user.token, question: ask.question }))
      if ((await tab.locator(`[name=${name}]`).count()) > 0) await tab.fill(`[name=${name}]`, value);
    await tab.getByRole("button", { name: "Ask" }).click();
    const ended = async () => {
      const status = tab.getByRole("status").filter({ hasText: /^(Done\.|Failed: )/ });
      await status.waitFor();
      const statusText = await status.innerText();
      const answer = (await tab.locator("#answer").textContent()) ?? "";
      await context.close();
      return { answer, output: statusText, failed: statusText !== "Done." };
    };
    return { printed: (text) => tab.locator("#answer", { hasText: text }).waitFor(), ended: ended() };
  };

const elsewhere = async () => {};
const settings =
  (file: string) =>
  ({ url, user }: Ask) =>
    `${siteUrl}/${file}?${new URLSearchParams({ url, token: user.token, userId: user.userId })}`;

/** A page on the server's own origin with a signed-in user; with the token `wrong`, without. */
async function signedIn(context: BrowserContext, { url, user }: Ask): Promise<void> {
  await context.route(`${url}/browser-eventsource.html`, async (route) =>
    route.fulfill({ contentType: "text/html", body: await readFile(path.join(folder, "browser-eventsource.html")) }),
  );
  if (user.token === "wrong") return;
  const tab = await context.newPage();
  await tab.goto(`${cluster.a.url}/sign-in`);
  await tab.getByRole("button", { name: "Continue as guest" }).click();
  await tab.waitForURL(`${cluster.a.url}/`);
  await tab.close();
}

const examples: Record<string, Example> = {
  "curl.sh": command("bash", "curl.sh"),
  "node-fetch.mjs": command(process.execPath, "node-fetch.mjs"),
  "axios.mjs": command(process.execPath, "axios.mjs"),
  "openai.mjs": command(process.execPath, "openai.mjs"),
  "openai-responses.mjs": command(process.execPath, "openai-responses.mjs"),
  "python_httpx.py": command("/usr/bin/python3", "python_httpx.py"),
  "python_requests.py": command("/usr/bin/python3", "python_requests.py"),
  "browser-fetch.html": page(() => `${siteUrl}/browser-fetch.html`, elsewhere),
  "browser-eventsource.html": page(({ url }) => `${url}/browser-eventsource.html`, signedIn),
  "react.tsx": page(settings("react.tsx"), elsewhere),
  "react-kit.tsx": page(settings("react-kit.tsx"), elsewhere),
};

const words = ["One", " two", " 日本", " 👋🏽", ' "quoted" \\ data: x', "\n\nñ", "\r\n", "é\u2028", " end."];
const text = words.join("");
const answers = (key: string, gateAfter?: number): Script => [
  ...words.flatMap((word, index) => [{ text: word }, ...(index === gateAfter ? [{ gate: key }] : [])]),
  { finish: "stop" },
];

/** The example over a connection that sends single bytes and ends every line in CRLF. */
async function behindFaults(cutAt: number | null) {
  const fault: { proxy?: Awaited<ReturnType<typeof startFaultProxy>> } = {};
  // The first request's connection already has its limit; later ones are left alone.
  const crlf = await startCrlfProxy(cluster.a.port, () => fault.proxy?.cutAfter(null));
  const proxy = await startFaultProxy(crlf.port);
  fault.proxy = proxy;
  proxy.piece(1);
  proxy.cutAfter(cutAt);
  return {
    proxy,
    close: async () => {
      await proxy.close();
      crlf.close();
    },
  };
}

async function run(example: Example, script: (key: string) => Script, user?: TestUser, cutAt: number | null = null) {
  const key = newKey();
  cluster.provider.on(key, script(key));
  const faults = await behindFaults(cutAt);
  const running = await example({ url: faults.proxy.url, user: user ?? (await cluster.guest()), question: key });
  const result = await running.ended;
  await faults.close();
  return { ...result, asked: cluster.requestsFor(key).length };
}

/** Byte positions, preflight response included: in the response head and in its events. */
const places = [60, 640, 700, 801, 902, 1003, 1204, 1305, 1406, 1507];
describe.each(Object.entries(examples))("%s", (_name, example) => {
  test("prints the answer, however it arrives", async () => {
    expect(await run(example, answers)).toMatchObject({ answer: text, failed: false, asked: 1 });
  });

  test("I3: a cut mid-answer neither loses nor repeats text", async () => {
    const key = newKey();
    cluster.provider.on(key, answers(key, 3));
    const { proxy, close } = await behindFaults(null);
    const running = await example({ url: proxy.url, user: await cluster.guest(), question: key });
    await running.printed("👋🏽");
    proxy.down();
    proxy.up();
    cluster.provider.open(key);
    expect(await running.ended).toMatchObject({ answer: text, failed: false });
    await close();
  });

  test("I3 I7: a cut anywhere else neither loses nor repeats text, and asks the model once", async () => {
    const results = await Promise.all(places.map((cutAt) => run(example, answers, undefined, cutAt)));
    expect(results).toMatchObject(places.map(() => ({ answer: text, failed: false, asked: 1 })));
  }, 240_000);

  test("reports a missing or invalid token and fails", async () => {
    const result = await run(example, answers, { token: "wrong", userId: randomUUID() });
    expect(result).toMatchObject({ answer: "", failed: true, asked: 0 });
    expect(result.output).toContain("Sign in, or send a valid token as `Authorization: Bearer …`.");
  });

  test("prints a failed answer's partial text and the reason", async () => {
    const result = await run(example, () => [{ text: "Half" }, { error: "overloaded" }]);
    expect(result).toMatchObject({ answer: "Half", failed: true });
    expect(result.output).toMatch(/[A-Z][^\n]+\.\n?$/);
  });
});
