// `npm run bench:ui`: the page's cost while a very long answer streams into it. The real page in
// Chromium, the production server, a scripted provider over HTTP; a chat of 100 messages, then an
// answer of 20,000 tokens of Markdown at 200 tokens a second. Prints a table and writes
// .cache/bench/ui.json. `--quick`: 4,000 tokens.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Browser, chromium, type Page } from "playwright";
import { startPostgres } from "../scripts/postgres.ts";
import { runNode } from "../scripts/processes.ts";
import { ensureBuild } from "../scripts/production-build.ts";
import { says, startProvider, tokensOf } from "../test/provider.ts";
import { startServer } from "../test/server.ts";
import { markdownOf } from "./markdown.ts";

const quick = process.argv.includes("--quick");
const tokens = quick ? 4_000 : 20_000;
const tokensPerSecond = 200;
/** Question and answer pairs already in the chat. */
const earlierTurns = 50;
const lastWords = "the last words of this answer";

type Samples = { frames: number[]; longTasks: number[]; typing: number[] };
type Watched = { bench: Samples };

const text = `${markdownOf(tokens)}\n\nThese are ${lastWords}.`;

await ensureBuild(runNode);
const dataDir = mkdtempSync(path.join(tmpdir(), "rivulet-bench-"));
const database = await startPostgres({ dataDir });
const provider = await startProvider(says(markdownOf(120)));
provider.on("a long answer", [{ tokens: text, perSecond: tokensPerSecond }, { finish: "stop" }]);
const server = await startServer({
  databaseUrl: database.url,
  env: { MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url, OPENAI_API_KEY: "none", OPENAI_API: "chat" },
});
let browser: Browser | undefined;
try {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? ["/usr/bin/chromium"].find((file) => existsSync(file)),
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  const result = await measure(browser, server.url);
  report(result);
} finally {
  await browser?.close();
  await server.kill("SIGKILL");
  await provider.close();
  await database.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function measure(within: Browser, url: string) {
  const context = await within.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole("button", { name: "Continue as guest" }).click();
  await page.getByRole("textbox", { name: "Message" }).waitFor();
  const chatId = await fillChat(page);

  await page.goto(`${url}/chat/${chatId}`);
  const composer = page.getByRole("textbox", { name: "Message" });
  await composer.waitFor();
  const wire = await countBytes(page);
  await composer.fill("Give me a long answer.");
  await composer.press("Enter");
  const answer = page.getByRole("article", { name: "Answer" }).last();
  await answer.locator('[data-part="text"]').waitFor();
  await watch(page);
  // Looked up once: each locator query searches the whole page, at the page's cost.
  const article = await answer.elementHandle();
  await typeUntil(page, async () => (await article?.getAttribute("data-status")) !== "running");
  const shown = await answer.locator('[data-part="text"]').innerText();
  if (!shown.includes(lastWords)) throw new Error("The page does not show the end of the answer.");
  const samples = await page.evaluate(() => (window as unknown as Watched).bench);

  const opens: number[] = [];
  for (let round = 0; round < 3; round++) {
    const again = await context.newPage();
    const startMs = performance.now();
    await again.goto(`${url}/chat/${chatId}`, { waitUntil: "commit" });
    await again.getByText(lastWords).first().waitFor();
    opens.push(performance.now() - startMs);
    await again.close();
  }
  return { samples, wireBytes: wire(), textBytes: Buffer.byteLength(text), openMs: quantile(opens, 0.5) };
}

/** Earlier turns through the page's own API, at full speed. Returns the chat's id. */
async function fillChat(page: Page): Promise<string> {
  const chatId = `bench-${Date.now()}`;
  const statuses = await page.evaluate(
    async ({ id, count }) => {
      const seen: number[] = [];
      for (let turn = 0; turn < count; turn++) {
        const message = { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text: `Question ${turn}` }] };
        const response = await fetch("/api/chat", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ id, message }),
        });
        await response.text();
        seen.push(response.status);
      }
      return seen;
    },
    { id: chatId, count: earlierTurns },
  );
  if (statuses.some((status) => status !== 200)) throw new Error(`The chat could not be filled: ${statuses}`);
  return chatId;
}

/** Counts the wire bytes of every answer stream from now on. */
async function countBytes(page: Page): Promise<() => number> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const streams = new Set<string>();
  let bytes = 0;
  session.on("Network.responseReceived", ({ requestId, response }) => {
    if (response.mimeType === "text/event-stream" && !response.url.endsWith("/events")) streams.add(requestId);
  });
  session.on("Network.dataReceived", ({ requestId, dataLength }) => {
    if (streams.has(requestId)) bytes += dataLength;
  });
  return () => bytes;
}

/** Records frames, long tasks, and the time from a key to the frame that shows it. */
async function watch(page: Page): Promise<void> {
  await page.evaluate(() => {
    const samples: Samples = { frames: [], longTasks: [], typing: [] };
    (window as unknown as Watched).bench = samples;
    let before = performance.now();
    const frame = (now: number) => {
      samples.frames.push(now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) samples.longTasks.push(entry.duration);
    }).observe({ type: "longtask" });
    const shown = (event: KeyboardEvent) =>
      requestAnimationFrame(() => setTimeout(() => samples.typing.push(performance.now() - event.timeStamp)));
    addEventListener("keydown", shown, true);
  });
}

/** Two keys a second, so that typing is measured throughout the answer. */
async function typeUntil(page: Page, over: () => Promise<boolean>): Promise<void> {
  while (!(await over())) {
    await page.keyboard.press("x");
    await page.waitForTimeout(500);
  }
}

function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function report({ samples, wireBytes, textBytes, openMs }: Awaited<ReturnType<typeof measure>>): void {
  const { frames, longTasks, typing } = samples;
  /** A stream's fixed cost, independent of the answer's length: head, stages and ending. */
  const constantBytes = 16_384;
  const figures = {
    tokens,
    tokensPerSecond,
    frameMs: { p50: quantile(frames, 0.5), p95: quantile(frames, 0.95), max: Math.max(...frames) },
    longTasks: { count: longTasks.length, maxMs: Math.max(0, ...longTasks) },
    typingMs: { p50: quantile(typing, 0.5), p95: quantile(typing, 0.95), max: Math.max(...typing) },
    wireBytes,
    textBytes,
    wireOverText: wireBytes / textBytes,
    openMs,
  };
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const held = (holds: boolean) => (holds ? "held" : "missed");
  const { frameMs, typingMs } = figures;
  const rows = [
    [
      "frame p50 / p95 / max",
      `${ms(frameMs.p50)} / ${ms(frameMs.p95)} / ${ms(frameMs.max)}`,
      "p95 < 50 ms",
      held(frameMs.p95 < 50),
    ],
    [
      "long tasks (over 50 ms), longest",
      `${longTasks.length}, ${ms(figures.longTasks.maxMs)}`,
      "none over 200 ms",
      held(figures.longTasks.maxMs <= 200),
    ],
    ["key to frame p50 / p95 / max", `${ms(typingMs.p50)} / ${ms(typingMs.p95)} / ${ms(typingMs.max)}`, "", ""],
    [
      "bytes on the wire / of text",
      `${wireBytes} / ${textBytes} = ${figures.wireOverText.toFixed(2)}`,
      `≤ 1.3 × text + ${constantBytes}`,
      held(wireBytes <= 1.3 * textBytes + constantBytes),
    ],
    ["opening the chat afterwards", ms(openMs), "", ""],
  ];
  console.log(`\n${tokensOf(text).length} tokens at ${tokensPerSecond}/s, in a chat of ${earlierTurns * 2} messages\n`);
  console.log("| figure | measured | wanted | |\n|---|---|---|---|");
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
  mkdirSync(".cache/bench", { recursive: true });
  writeFileSync(".cache/bench/ui.json", `${JSON.stringify(figures, null, 2)}\n`);
}
