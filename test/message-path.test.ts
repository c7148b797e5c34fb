// How much code one message runs through, from the page's transport to its last chunk: the files
// whose functions V8 counts as called meanwhile (ARCHITECTURE.md, "The path of one message").
import { readFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { POST } from "@/app/api/chat/route";
import { turnLog } from "@/lib/log/turn-log";
import { createGuest, createToken } from "@/lib/services/users/users";
import { ResumableChatTransport } from "@/packages/client/src/transport";
import { HeadlessChat } from "./client/scripted-server";
import { testDatabase } from "./database";
import { type Provider, startProvider } from "./provider";

vi.hoisted(() => {
  // As `npm start` sets it: outside of a server there is no `after()`.
  process.env.NEXT_MANUAL_SIG_HANDLE = "true";
});
testDatabase();
const root = path.join(import.meta.dirname, "..");
const product = /^(app|components|db|lib|packages)\//;
let provider: Provider;
let authorization: string;

beforeAll(async () => {
  vi.stubGlobal("fetch", (url: string, init: RequestInit) =>
    POST(new Request(url, init), { params: Promise.resolve({}) }),
  );
  provider = await startProvider([{ tokens: "It stays." }, { finish: "stop" }]);
  Object.assign(process.env, { MODELS: "openai:scripted", OPENAI_BASE_URL: provider.url, OPENAI_API: "chat" });
  const { id } = await createGuest("path");
  authorization = `Bearer ${(await createToken(id, { name: "path" })).token}`;
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await turnLog().close(0);
  await provider.close();
});

async function ask(text: string): Promise<void> {
  const transport = new ResumableChatTransport({
    baseUrl: "http://localhost",
    headers: () => ({ authorization }),
  });
  const chat = new HeadlessChat({ id: `path-${text}`, transport });
  await chat.sendMessage({ text });
  expect(chat.lastMessage?.parts).toContainEqual(expect.objectContaining({ text: "It stays." }));
}

/** How many functions were called during `work`, by file of the product. */
async function calledBy(work: () => Promise<void>): Promise<Map<string, number>> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  await work();
  const { result } = await session.post("Profiler.takePreciseCoverage");
  session.disconnect();
  const called = new Map<string, number>();
  for (const { url, functions } of result) {
    const file = path.relative(root, url.startsWith("file:") ? fileURLToPath(url) : url);
    const count = functions.filter(({ ranges }) => ranges.some((range) => range.count > 0)).length;
    if (product.test(file) && count > 0) called.set(file, count);
  }
  return called;
}

test("one message takes the documented path", async () => {
  // Loads everything; only later messages are measured.
  await ask("first");
  const runs = [];
  for (const text of ["second", "third", "fourth"]) runs.push(await calledBy(() => ask(text)));
  // The fewest: timers of other parts may fire during a message.
  const [called = new Map<string, number>()] = runs.toSorted((a, b) => a.size - b.size);
  const functions = [...called.values()].reduce((sum, count) => sum + count, 0);
  console.log(`${[...called.keys()].sort().join("\n")}\n${functions} functions in ${called.size} files`);

  const document = readFileSync(path.join(root, "ARCHITECTURE.md"), "utf8");
  const section = document.match(/## The path of one message\n\n(?<hops>.*?)\n\n(?<summary>.*?)\n\n/s)?.groups;
  const hops = section?.hops?.split(/\n(?=\d+\. )/) ?? [];
  expect(hops.length).toBeGreaterThan(20);
  expect(hops.length).toBeLessThanOrEqual(25);
  // The page's components run in the browser's journeys only.
  const named = hops.flatMap((hop) => Array.from(hop.matchAll(/`([\w/.-]+\.tsx?)`/g), ([, file]) => file as string));
  const onPage = /^components\/|smooth-text/;
  expect(named.filter((file) => !onPage.test(file) && !called.has(file))).toEqual([]);
  const [statedFunctions, statedFiles] = Array.from(
    section?.summary?.matchAll(/([\d,]+) (?:functions|files)/g) ?? [],
    ([, count]) => Number(count?.replace(",", "")),
  );
  expect(functions).toBeLessThanOrEqual(statedFunctions as number);
  expect(called.size).toBeLessThanOrEqual(statedFiles as number);
});
