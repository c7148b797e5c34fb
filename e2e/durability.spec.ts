// An answer outlives the page that asked for it. A gate holds the provider midway; nothing sleeps.
import { ChatPage, expect, test } from "./journey.ts";

const firstHalf = "The river rises in the hills, and the first word of this answer is safe";
const secondHalf = " long before the last one leaves the provider.";
const whole = firstHalf + secondHalf;
const heldHalfWay = [
  { tokens: firstHalf },
  { gate: "half" },
  { tokens: secondHalf, perSecond: 40 },
  { finish: "stop" as const },
];

test.beforeEach(async ({ chat, provider, key }) => {
  await provider.answers(heldHalfWay);
  await chat.signInAsGuest();
  await chat.ask(`Where does ${key} rise?`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);
  await chat.expectStatus("running");
  await chat.chatId();
});

test("I3: a reload keeps the text so far and streams to the end", async ({ page, chat, provider }) => {
  await page.reload();
  await expect(chat.text).toHaveText(firstHalf);
  await chat.expectStatus("running");
  await provider.open("half");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.answers).toHaveCount(1);

  await page.reload();
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
});

test("I3: two reloads mid-answer neither lose nor repeat a word", async ({ page, chat, provider }) => {
  await provider.open("half");
  await page.reload();
  await page.reload();
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  expect(await provider.closed()).toMatchObject({ closedBy: "server", sent: whole });
});

test("I9 I18: reopening a closed page shows the whole answer", async ({ page, context, chat, provider }) => {
  const chatId = await chat.chatId();
  await page.close();
  await provider.open("half");
  expect(await provider.closed()).toMatchObject({ closedBy: "server", sent: whole });

  const back = new ChatPage(await context.newPage());
  await back.page.goto(`/chat/${chatId}`);
  await expect(back.text).toHaveText(whole);
  await back.expectStatus("complete");
});

test("a second tab on another server follows the same live answer", async ({ context, chat, provider, localUrl }) => {
  const second = new ChatPage(await context.newPage());
  await second.page.goto(`${localUrl}/chat/${await chat.chatId()}`);
  await expect(second.text).toHaveText(firstHalf);
  await second.expectStatus("running");
  await provider.open("half");
  for (const tab of [chat, second]) {
    await expect(tab.text).toHaveText(whole);
    await tab.expectStatus("complete");
  }
});

test("I11 I12: Stop keeps the text, shows Stopped and ends the provider request", async ({ page, chat, provider }) => {
  await page.getByRole("button", { name: "Stop" }).click();
  await chat.expectStatus("stopped");
  await expect(chat.text).toHaveText(firstHalf);
  await expect(chat.answer.getByText("Stopped", { exact: true })).toBeVisible();
  expect(await provider.closed()).toMatchObject({ closedBy: "client", sent: firstHalf });

  await page.reload();
  await chat.expectStatus("stopped");
  await expect(chat.text).toHaveText(firstHalf);
  await expect(chat.answer.getByText("Stopped", { exact: true })).toBeVisible();
  await expect(chat.answer.getByRole("button", { name: "Retry" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Send" })).toBeVisible();
});

test("I11: Stop in a tab on another server also stops the first tab", async ({ context, chat, provider, localUrl }) => {
  const second = new ChatPage(await context.newPage());
  await second.page.goto(`${localUrl}/chat/${await chat.chatId()}`);
  await expect(second.text).toHaveText(firstHalf);
  await second.page.getByRole("button", { name: "Stop" }).click();
  for (const tab of [chat, second]) {
    await tab.expectStatus("stopped");
    await expect(tab.text).toHaveText(firstHalf);
  }
  expect(await provider.closed()).toMatchObject({ closedBy: "client" });
});
