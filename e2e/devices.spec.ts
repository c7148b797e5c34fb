// One chat on several devices: a question on one appears on the others within a second, on another
// server too. Measured in the pages, from the first to the last that shows it: what a loaded machine
// adds to the question itself delays all of them.
import type { Browser, BrowserContext, Page } from "playwright/test";
import { bestOf, underLoad } from "@/test/under-load";
import { ChatPage, expect, test } from "./journey.ts";

/** The first also starts servers and pages, so one in time is enough. */
const rounds = ["First round.", "Second round.", "Third round.", "Fourth round."];
const live = "Meanwhile this is said live, on every device at once.";
/** The promise in docs/reliability.md. */
const withinMs = 1_000;

test.beforeEach(async ({ chat, provider, key }) => {
  await provider.answers(
    [{ tokens: "This was said before." }, { finish: "stop" }],
    ...rounds.map((words) => [{ tokens: words }, { finish: "stop" as const }]),
  );
  await chat.signInAsGuest();
  await chat.ask(`Say something of ${key}`);
  await chat.expectStatus("complete");
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
  await expectTogether([chat, other], key);

  const before = await provider.requests();
  await provider.answers([{ tokens: live }, { gate: "end" }, { finish: "stop" }]);
  await chat.ask(`Now go on, ${key}`);
  await other.expectStatus("running");
  for (const device of [chat, other]) await expect(device.text).toHaveText(live);
  await other.page.getByRole("button", { name: "Stop" }).click();
  for (const device of [chat, other]) {
    await device.expectStatus("stopped");
    await expect(device.text).toHaveText(live);
  }
  expect(await provider.closed(before + 1)).toMatchObject({ closedBy: "client" });
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
  const devices: [ChatPage, ...ChatPage[]] = [tab, chat, other];
  await expectTogether(devices, key);

  const before = await provider.requests();
  await provider.answers([{ tokens: live }, { gate: "end" }, { finish: "stop" }]);
  await tab.ask(`Now go on, ${key}`);
  for (const device of devices) await device.expectStatus("running");
  await provider.open("end");
  for (const device of devices) {
    await device.expectStatus("complete");
    await expect(device.text).toHaveText(live);
    await expect(device.answers).toHaveCount(before + 1);
  }
  expect(await provider.requests()).toBe(before + 1);
});

/** Asks on the first device until an answer's first words appear on all of them within the promised time. */
async function expectTogether(devices: [ChatPage, ...ChatPage[]], key: string): Promise<void> {
  const upcoming = rounds.values();
  for (const device of devices) await device.expectStatus("complete");
  const { spreadMs, limitMs } = await bestOf(
    rounds.length,
    async () => {
      const words = upcoming.next().value as string;
      const shown = devices.map(({ page }) => timeOf(page, words));
      await devices[0].ask(`Once more, ${key}`);
      const times = await Promise.all(shown);
      const limitMs = underLoad(withinMs);
      for (const device of devices) await device.expectStatus("complete");
      return { spreadMs: Math.max(...times) - Math.min(...times), limitMs };
    },
    ({ spreadMs, limitMs }) => spreadMs < limitMs,
  );
  expect(spreadMs).toBeLessThan(limitMs);
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
