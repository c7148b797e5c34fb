// A broken answer continues and reads as one: no word is lost or repeated, on whichever device
// the continuation started.
import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { dropDatabase } from "@/test/drop-database";
import { startServer, type TestServer } from "@/test/server";
import { test as base, ChatPage, expect, fromSetup } from "./journey.ts";
import { watchAnswer } from "./watch-answer.ts";

const answerText = "The river was crossed by night, and the boats were";
const rest = " burnt behind the last man so that nobody could turn back.";
const whole = answerText + rest;
const breaksOff = [{ tokens: answerText }];
const goesOn = [{ gate: "on" }, { tokens: rest, perSecond: 40 }, { finish: "stop" as const }];

type Start = (databaseUrl: string, env?: Record<string, string>) => Promise<TestServer>;

const test = base.extend<{
  /** A server that may be killed; a short lease lets its death be noticed soon. */
  start: Start;
  /** An empty database, for a server that continues all answers in its database. */
  ownDatabase: string;
}>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameter's pattern.
  start: async ({}, use) => {
    const servers: TestServer[] = [];
    await use(async (databaseUrl, env) => {
      const scripted = JSON.parse(fromSetup("E2E_SCRIPTED_ENV")) as Record<string, string>;
      const server = await startServer({ databaseUrl, env: { ...scripted, LEASE_MS: "1000", ...env } });
      servers.push(server);
      return server;
    });
    await Promise.all(servers.map((server) => server.kill("SIGKILL")));
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above.
  ownDatabase: async ({}, use) => {
    const url = new URL(fromSetup("E2E_DATABASE_URL"));
    const admin = postgres(url.href, { max: 1, onnotice: () => {} });
    const name = `rivulet_e2e_${randomBytes(8).toString("hex")}`;
    await admin.unsafe(`create database ${name}`);
    url.pathname = `/${name}`;
    await use(url.href);
    await dropDatabase(admin, name);
    await admin.end();
  },
});

test("Continue appends to the same text and keeps words, scroll and focus", async ({ page, chat, provider, key }) => {
  await provider.answers(breaksOff, goesOn);
  await chat.signInAsGuest();
  const watched = await watchAnswer(page, whole);
  await chat.ask(`How was ${key} crossed?`);
  await chat.expectStatus("interrupted");
  await expect(chat.text).toHaveText(answerText);
  const top = async () => (await chat.text.boundingBox())?.y;
  const before = await top();

  await chat.continue.focus();
  await page.keyboard.press("Enter");
  await provider.reached("on");
  await expect(chat.answer.getByRole("status")).toContainText("Continuing…");
  await chat.expectStatus("running");
  await expect(chat.text).toHaveText(answerText);
  await expect(chat.answer).toBeFocused();
  expect(await top()).toBe(before);
  await expect(page.getByRole("button", { name: "Stop" })).toBeVisible();

  await page.reload();
  await expect(chat.text).toHaveText(answerText);
  await expect(chat.answer.getByRole("status")).toContainText("Continuing…");
  await provider.open("on");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.answers).toHaveCount(1);
  watched.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(2);
  await page.reload();
  await expect(chat.text).toHaveText(whole);
});

test("I12: a continuation can be stopped and continued again", async ({ page, chat, provider, key }) => {
  const more = " burnt behind";
  await provider.answers(
    breaksOff,
    [{ tokens: more }, { gate: "stop" }, { finish: "stop" }],
    [{ tokens: rest.slice(more.length) }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  const watched = await watchAnswer(page, whole);
  await chat.ask(`How was ${key} crossed?`);
  await chat.continue.click();
  await provider.reached("stop");
  await expect(chat.text).toHaveText(answerText + more);
  await page.getByRole("button", { name: "Stop" }).click();
  await chat.expectStatus("stopped");
  await expect(chat.text).toHaveText(answerText + more);
  await chat.continue.click();
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  watched.expectNothingLostOrTwice();
});

test("a continuation that fails to send keeps the answer and its Continue button", async ({
  page,
  chat,
  provider,
  key,
}) => {
  await provider.answers(breaksOff, [{ tokens: rest }, { finish: "stop" }]);
  await chat.signInAsGuest();
  await chat.ask(`How was ${key} crossed?`);
  await chat.expectStatus("interrupted");
  await page.route("**/api/chat", (route) =>
    route.fulfill({ status: 429, json: { error: { code: "rate_limited", message: "Too many requests." } } }),
  );
  await chat.continue.click();
  await expect(page.getByRole("alert").filter({ hasText: "Too many requests." })).toBeVisible();
  await chat.expectStatus("interrupted");
  await expect(chat.text).toHaveText(answerText);
  await page.unroute("**/api/chat");
  await chat.continue.click();
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
});

test("I5: another server continues the answer of a server that was killed", async ({
  page,
  chat,
  provider,
  key,
  start,
}) => {
  await provider.answers([{ tokens: answerText }, { gate: "killed" }, { finish: "stop" }], goesOn);
  const owner = await start(fromSetup("E2E_DATABASE_URL"));
  await chat.signInAsGuest(owner.url);
  await chat.ask(`How was ${key} crossed?`);
  await provider.reached("killed");
  await expect(chat.text).toHaveText(answerText);
  const chatId = await chat.chatId();
  await owner.kill("SIGKILL");

  const back = new ChatPage(page);
  await page.goto(`${fromSetup("E2E_URL")}/chat/${chatId}`);
  await back.expectStatus("interrupted");
  const watched = await watchAnswer(page, whole);
  await back.continue.click();
  await provider.reached("on");
  await provider.open("on");
  await expect(back.text).toHaveText(whole);
  await back.expectStatus("complete");
  watched.expectNothingLostOrTwice();
});

test("with CONTINUE_INTERRUPTED=auto, an open page sees the answer continue automatically", async ({
  page,
  chat,
  provider,
  key,
  start,
  ownDatabase,
}) => {
  await provider.answers(breaksOff, goesOn);
  const server = await start(ownDatabase, { CONTINUE_INTERRUPTED: "auto" });
  await chat.signInAsGuest(server.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`How was ${key} crossed?`);
  await provider.reached("on");
  await expect(chat.answer.getByRole("status")).toContainText("Continuing…");
  await expect(chat.text).toHaveText(answerText);
  await provider.open("on");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  watched.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(2);
});
