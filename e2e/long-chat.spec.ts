// A long conversation: the page loads its end first, and older messages as the reader scrolls up.
import type { Page } from "playwright/test";
import type { Script } from "@/test/provider";
import { expect, test } from "./journey.ts";

const turns = 90;

/** A chat of 180 messages and an answer, as from a client with a history. Returns its id. */
async function makeLongChat(page: Page, key: string): Promise<string> {
  const history = Array.from({ length: turns }, (_, n) => [
    { role: "user", content: `Question ${n + 1}: ${"what is said about rivers? ".repeat((n % 4) + 1)}` },
    {
      role: "assistant",
      content: `Answer ${n + 1}. ${"Rivers run to the sea, and the sea is not full. ".repeat((n % 5) + 1)}`,
    },
  ]).flat();
  const made = await page.request.post("/v1/chat/completions", {
    data: {
      model: "local",
      stream: true,
      messages: [...history, { role: "user", content: `The last question ${key}` }],
    },
  });
  expect(made.status()).toBe(200);
  await made.body();
  return made.headers()["x-chat-id"] as string;
}

const log = (page: Page) => page.getByRole("log");
const messages = (page: Page) => log(page).getByRole("article");
const scroller = (page: Page) => log(page).locator("..");

test("opens a long chat at its end, loads older messages while scrolling up and keeps its position", async ({
  page,
  chat,
  key,
}) => {
  await chat.signInAsGuest();
  const chatId = await makeLongChat(page, key);
  const asked: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/messages")) asked.push(new URL(request.url()).search);
  });
  await page.goto(`/chat/${chatId}`);
  await expect(log(page).getByText(`The last question ${key}`)).toBeInViewport();
  await expect(messages(page)).toHaveCount(50);
  expect(asked).toEqual([]);

  // A message near the top must keep its place while older messages load.
  await scroller(page).evaluate((view) => view.scrollTo({ top: 700 }));
  const held = log(page).getByText(/^Question 68:/);
  const heldTop = () => held.evaluate((element) => Math.round(element.getBoundingClientRect().top));
  const before = await heldTop();
  await expect(messages(page)).toHaveCount(100);
  await expect.poll(async () => Math.abs((await heldTop()) - before)).toBeLessThan(4);
  expect(asked).toHaveLength(1);

  await expect(async () => {
    await scroller(page).evaluate((view) => view.scrollTo({ top: 0 }));
    await expect(messages(page)).toHaveCount(2 * turns + 2, { timeout: 1_000 });
  }).toPass();
  await scroller(page).evaluate((view) => view.scrollTo({ top: 0 }));
  await expect(log(page).getByText(/^Question 1:/)).toBeInViewport();
  await expect(log(page).getByText("Loading older messages…")).toHaveCount(0);
  expect(asked).toHaveLength(3);
  // None of them looks like a pending answer.
  await expect(log(page).locator('[data-status="running"]')).toHaveCount(0);

  // Loaded messages stay when the chat continues.
  await chat.ask(`One more ${key}`);
  await expect(log(page).getByText(`One more ${key}`)).toBeInViewport();
  await chat.expectStatus("complete");
  await expect(messages(page)).toHaveCount(2 * turns + 4);
});

test("says when older messages fail to load, and retries on request", async ({ page, chat, key }) => {
  await chat.signInAsGuest();
  const chatId = await makeLongChat(page, key);
  let refuse = true;
  await page.route("**/messages?cursor=*", (route) => (refuse ? route.abort() : route.continue()));
  await page.goto(`/chat/${chatId}`);
  const again = page.getByRole("button", { name: "Load older messages" });
  // The page scrolls to the end first.
  await expect(async () => {
    await scroller(page).evaluate((view) => view.scrollTo({ top: 0 }));
    await expect(again).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await expect(messages(page)).toHaveCount(50);
  refuse = false;
  await again.click();
  await expect(messages(page)).toHaveCount(100);
});

test("a line marks where the model's memory begins", async ({ page, chat, provider, key }) => {
  await chat.signInAsGuest();
  const chatId = await makeLongChat(page, key);
  const message = "This model's maximum context length is 2048 tokens.";
  const refusal: Script = [{ answer: 400, body: { error: { message, code: "context_length_exceeded" } } }];
  // The first refusal may concern the output cap, which is then omitted.
  await provider.answers(refusal, refusal, [{ text: "Rivers, mostly." }, { finish: "stop" }]);
  // A model of its own: otherwise this limit would apply to the other journeys.
  const question = {
    id: `${key}-question`,
    role: "user",
    parts: [{ type: "text", text: `${key}: what was it about?` }],
  };
  const asked = await page.request.post("/api/chat", {
    data: { id: chatId, message: question, model: "openai:forgetful", searchMode: "none" },
  });
  await asked.body();
  await page.goto(`/chat/${chatId}`);
  await expect(chat.text).toHaveText("Rivers, mostly.");
  const line = log(page).getByText("The model did not read the messages above");
  await expect(line).toHaveCount(1);
  const asks = (await provider.closed(await provider.requests())).body.messages as { role: string; content: unknown }[];
  const first = JSON.stringify(asks.find(({ role }) => role === "user")).match(/Question (\d+):/)?.[1];
  // Directly above the first message that was sent.
  await expect(line.locator("xpath=following-sibling::*[1]")).toContainText(`Question ${first}:`);
});
