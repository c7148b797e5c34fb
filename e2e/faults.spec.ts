// The page while its server dies, comes back, or is replaced.
import { startFaultProxy } from "@/test/fault-proxy";
import { expect } from "./journey.ts";
import { test } from "./own-servers.ts";
import { watchAnswer } from "./watch-answer.ts";

const firstHalf = "Before the fall every word is stored,";
const secondHalf = " and what comes after it goes on from there.";
const whole = firstHalf + secondHalf;
const heldHalfWay = [{ tokens: firstHalf }, { gate: "half" }, { tokens: secondHalf }, { finish: "stop" as const }];
const theRest = [{ tokens: secondHalf }, { finish: "stop" as const }];
const all = [{ tokens: whole }, { finish: "stop" as const }];
const draft = "What I meant to ask next";
const away = "Reconnecting…";
/** How long a dead server's turns wait for takeover. */
const shortLease = { LEASE_MS: "2000" };

// Starts up to three servers.
test.describe.configure({ timeout: 120_000 });

test("I2 I5 I6: after a server is killed mid-answer, the page waits, keeps the text and says how it ended", async ({
  page,
  chat,
  provider,
  key,
  startOwn,
}) => {
  const server = await startOwn({ env: shortLease });
  await provider.answers(heldHalfWay);
  await chat.signInAsGuest(server.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`Before the kill, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  await server.kill("SIGKILL");
  await expect(chat.connection).toHaveText(away);
  await chat.composer.fill(draft);
  await chat.expectStatus("running");
  await startOwn({ port: server.port, env: shortLease });
  await chat.expectStatus("interrupted");
  await expect(chat.text).toHaveText(firstHalf);
  await expect(chat.connection).toBeEmpty();
  await expect(chat.answer.getByText("Interrupted", { exact: true })).toBeVisible();
  await expect(page.getByRole("button", { name: "Send" })).toBeEnabled();

  await page.reload();
  await chat.expectStatus("interrupted");
  await expect(chat.text).toHaveText(firstHalf);
  await expect(chat.composer).toHaveValue(draft);
  watched.expectNothingLostOrTwice();
});

test("I3 I5: an answer continued automatically after its server was killed reads as one text", async ({
  page,
  chat,
  provider,
  key,
  startOwn,
}) => {
  const env = { ...shortLease, CONTINUE_INTERRUPTED: "auto" };
  const server = await startOwn({ env });
  await provider.answers(heldHalfWay, theRest);
  await chat.signInAsGuest(server.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`Before the kill, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  await server.kill("SIGKILL");
  await expect(chat.connection).toHaveText(away);
  await startOwn({ port: server.port, env });
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.answers).toHaveCount(1);
  await expect(chat.connection).toBeEmpty();
  watched.expectNothingLostOrTwice();
});

test("I5 I9: an answer arrives even if its server is killed before the first word", async ({
  page,
  chat,
  provider,
  key,
  startOwn,
}) => {
  const server = await startOwn({ env: shortLease });
  await provider.answers([{ headers: true }, { gate: "never" }], all);
  await chat.signInAsGuest(server.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`Before the first word, ${key}`);
  await provider.reached("never");
  await chat.expectStatus("running");

  await server.kill("SIGKILL");
  await expect(chat.connection).toHaveText(away);
  await chat.composer.fill(draft);
  await startOwn({ port: server.port, env: shortLease });
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.connection).toBeEmpty();
  await expect(chat.composer).toHaveValue(draft);
  watched.expectNothingLostOrTwice();
});

test("I17: a rolling restart during two answers is invisible to users", async ({
  page,
  chat,
  provider,
  key,
  startOwn,
}) => {
  const env = { DRAIN_MS: "15000" };
  const [first, second] = [await startOwn({ env }), await startOwn({ env })];
  let target = first.port;
  const balancer = await startFaultProxy(() => target);
  await provider.answers(heldHalfWay, [
    { tokens: firstHalf },
    { gate: "half again" },
    { tokens: secondHalf },
    { finish: "stop" },
  ]);
  await chat.signInAsGuest(balancer.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`During the first restart, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  target = second.port;
  const firstExit = first.stop();
  await chat.composer.fill(draft);
  await expect.poll(() => fetch(`${first.url}/api/ready`).then(({ status }) => status)).toBe(503);
  await provider.open("half");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  expect(await firstExit).toBe(0);
  watched.expectNothingLostOrTwice();

  const third = await startOwn({ port: first.port, env });
  await expect(chat.composer).toHaveValue(draft);
  await chat.ask(`During the second restart, ${key}`);
  await provider.reached("half again");
  await expect(chat.text).toHaveText(firstHalf);
  target = third.port;
  const secondExit = second.stop();
  await expect.poll(() => fetch(`${second.url}/api/ready`).then(({ status }) => status)).toBe(503);
  await provider.open("half again");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  expect(await secondExit).toBe(0);
  await expect(chat.connection).toBeEmpty();
  watched.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(2);
  await balancer.close();
});
