// More tabs than a browser has connections to one host: those out of view give theirs back, and lose nothing by it.
import type { Page } from "playwright/test";
import { ChatPage, expect, test } from "./journey.ts";
import { watchAnswer } from "./watch-answer.ts";

const firstHalf = "This was said before the tab was left,";
const whole = `${firstHalf} and this while nobody looked.`;
const half = [
  { tokens: firstHalf },
  { gate: "half" },
  { tokens: whole.slice(firstHalf.length) },
  { finish: "stop" as const },
];
const other = "This was said in the tab in view.";
/** Over HTTP/1.1. */
const connectionsOfAHost = 6;
/** packages/client/src/backoff.ts, and some more. */
const hiddenMs = 11_000;

test("I3: a visible tab streams while hidden tabs wait for a connection and then show whole answers", async ({
  context,
  chat,
  provider,
  key,
}) => {
  await provider.answers(half, half, [{ tokens: other }, { finish: "stop" }]);
  await chat.page.clock.install();
  await chat.signInAsGuest();
  const second = new ChatPage(await context.newPage());
  await second.page.clock.install();
  await second.page.goto("/");
  const hidden = [chat, second];
  const watched = [];
  for (const tab of hidden) {
    watched.push(await watchAnswer(tab.page, whole));
    await tab.ask(`Tell me more, ${key}`);
    await expect(tab.text).toHaveText(firstHalf);
    await become(tab.page, "hidden");
    await tab.page.clock.fastForward(hiddenMs);
  }
  const chatId = await chat.chatId();
  const elsewhere = await context.newPage();
  await elsewhere.goto("/sse-test.html");
  await holdConnections(elsewhere, `/api/chats/${chatId}/events`, connectionsOfAHost - hidden.length);

  const inView = new ChatPage(await context.newPage());
  await inView.page.goto("/");
  await inView.ask(`And here, ${key}`);
  await expect(inView.text).toHaveText(other);
  await inView.expectStatus("complete");
  await elsewhere.close();

  await provider.open("half");
  for (const tab of hidden) {
    await expect(tab.text).toHaveText(firstHalf);
    await become(tab.page, "visible");
    await expect(tab.text).toHaveText(whole);
    await tab.expectStatus("complete");
    await expect(tab.connection).toBeEmpty();
  }
  for (const each of watched) each.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(3);
});

/** Playwright keeps every page in view. */
async function become(page: Page, state: "visible" | "hidden"): Promise<void> {
  await page.evaluate((next) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => next });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

/** As other tabs do it. Resolves when all are open. */
async function holdConnections(page: Page, address: string, count: number): Promise<void> {
  await page.evaluate(
    ([url, many]) =>
      Promise.all(
        Array.from({ length: many as number }, () => {
          const source = new EventSource(url as string);
          return new Promise((resolve) => source.addEventListener("open", resolve));
        }),
      ).then(() => {}),
    [address, count],
  );
}
