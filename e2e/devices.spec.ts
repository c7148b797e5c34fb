// One chat on several devices: a question on one appears on the others within a second, on another
// server too. Measured in the pages, from the answer's first word on the first to that on the last: what a
// loaded machine adds to the question itself delays all of them.
import type { Browser, BrowserContext, Page } from "playwright/test";
import { underLoad } from "@/test/under-load";
import { ChatPage, expect, test } from "./journey.ts";

const first = "This was said before.";
/** Warms up servers and pages, whose start is not measured. */
const again = "This was said on every device.";
const live = "Meanwhile this is said live, on every device at once.";
/** The rest follows at the page's drawing pace. */
const firstWord = "Meanwhile";
/** The promise in docs/reliability.md. */
const withinMs = 1_000;

test.beforeEach(async ({ chat, provider, key }) => {
  await provider.answers(
    [{ tokens: first }, { finish: "stop" }],
    [{ tokens: again }, { finish: "stop" }],
    [{ tokens: live }, { gate: "end" }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.ask(`Say something of ${key}`);
  await chat.expectStatus("complete");
  await chat.chatId();
});

test("I3 I11: a second browser on another server joins within a second and can stop the answer", async ({
  browser,
  context,
  chat,
  provider,
  key,
  localUrl,
}) => {
  const other = await secondDevice(browser, context, `${localUrl}/chat/${await chat.chatId()}`);
  await askOnce([chat, other], `And once more, ${key}`);
  const shown = [chat, other].map(({ page }) => timeOf(page, firstWord));
  await chat.ask(`Now go on, ${key}`);
  expect(spreadOf(await Promise.all(shown))).toBeLessThan(underLoad(withinMs));
  await other.expectStatus("running");
  await expect(chat.text).toHaveText(live);

  await other.page.getByRole("button", { name: "Stop" }).click();
  for (const device of [chat, other]) {
    await device.expectStatus("stopped");
    await expect(device.text).toHaveText(live);
  }
  expect(await provider.closed(3)).toMatchObject({ closedBy: "client" });
});

test("I3: two tabs and a second browser follow one answer live to its end", async ({
  browser,
  context,
  chat,
  provider,
  key,
  localUrl,
}) => {
  const chatId = await chat.chatId();
  const tab = new ChatPage(await context.newPage());
  await tab.page.goto(`/chat/${chatId}`);
  const other = await secondDevice(browser, context, `${localUrl}/chat/${chatId}`);
  const devices = [chat, tab, other];
  await askOnce([tab, chat, other], `And once more, ${key}`);

  const shown = devices.map(({ page }) => timeOf(page, firstWord));
  await tab.ask(`Now go on, ${key}`);
  expect(spreadOf(await Promise.all(shown))).toBeLessThan(underLoad(withinMs));
  for (const device of devices) await device.expectStatus("running");
  await provider.open("end");
  for (const device of devices) {
    await device.expectStatus("complete");
    await expect(device.text).toHaveText(live);
    await expect(device.answers).toHaveCount(3);
  }
  expect(await provider.requests()).toBe(3);
});

function spreadOf(times: number[]): number {
  return Math.max(...times) - Math.min(...times);
}

async function askOnce(devices: ChatPage[], question: string): Promise<void> {
  for (const device of devices) await expect(device.text).toHaveText(first);
  await devices[0]?.ask(question);
  for (const device of devices) {
    await expect(device.text).toHaveText(again);
    await device.expectStatus("complete");
  }
}

/** A separate browser with the same session: shares no storage and no channel with the first. */
async function secondDevice(browser: Browser, context: BrowserContext, url: string): Promise<ChatPage> {
  const other = await browser.newContext({ storageState: await context.storageState() });
  const page = await other.newPage();
  await page.goto(url);
  return new ChatPage(page);
}

/** Resolves to the time at which the conversation contains these words. One machine, one clock. */
function timeOf(page: Page, words: string): Promise<number> {
  return page.evaluate(
    (text) =>
      new Promise<number>((resolve) => {
        const log = document.querySelector('[role="log"]') as Element;
        const look = () => {
          if (!log.textContent?.includes(text)) return;
          observer.disconnect();
          resolve(Date.now());
        };
        const observer = new MutationObserver(look);
        observer.observe(log, { subtree: true, childList: true, characterData: true });
        look();
      }),
    words,
  );
}
