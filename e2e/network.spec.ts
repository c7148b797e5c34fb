// The page behind a failing network: a proxy between browser and server cuts every connection, or
// the browser is offline.
import { sized } from "@/test/chaos/trial";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { freeze } from "./frozen-tab.ts";
import { test as base, expect } from "./journey.ts";
import { watchAnswer } from "./watch-answer.ts";

const firstHalf = "Before the tunnel every word arrives,";
const secondHalf = " and after it the rest is there as if nothing had been.";
const whole = firstHalf + secondHalf;
const heldHalfWay = [{ tokens: firstHalf }, { gate: "half" }, { tokens: secondHalf }, { finish: "stop" as const }];
const away = "Reconnecting…";

const test = base.extend<{ network: FaultProxy }>({
  network: async ({ baseURL }, use) => {
    const network = await startFaultProxy(Number(new URL(baseURL ?? "").port));
    await use(network);
    await network.close();
  },
});

test.describe.configure({ timeout: sized(60_000, 180_000) });

test("I2 I3 I6: offline, the page says so and catches up automatically", async ({
  page,
  chat,
  provider,
  key,
  network,
}) => {
  await provider.answers(heldHalfWay);
  await chat.signInAsGuest(network.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`Through the tunnel, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  network.down();
  await expect(chat.connection).toHaveText(away);
  await chat.expectStatus("running");
  await provider.open("half");
  expect(await provider.closed()).toMatchObject({ closedBy: "server", sent: whole });
  await expect(chat.text).toHaveText(firstHalf);

  network.up();
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.connection).toBeEmpty();
  watched.expectNothingLostOrTwice();
});

test("I3 I7: recovers from a cut before the send is acknowledged, before the first word and before the end", async ({
  page,
  chat,
  provider,
  key,
  network,
}) => {
  await provider.answers([{ gate: "start" }, { tokens: whole }, { gate: "end" }, { finish: "stop" }]);
  await chat.signInAsGuest(network.url);
  const watched = await watchAnswer(page, whole);

  network.stall(true);
  await chat.ask(`Three tunnels, ${key}`);
  await provider.reached("start");
  network.down();
  await expect(chat.connection).toHaveText(away);
  network.stall(false);
  network.up();
  await expect(chat.connection).toBeEmpty();
  await chat.expectStatus("running");

  network.down();
  await expect(chat.connection).toHaveText(away);
  network.up();
  await provider.open("start");
  await expect(chat.text).toHaveText(whole);

  await expect(chat.connection).toBeEmpty();
  network.down();
  await expect(chat.connection).toHaveText(away);
  await provider.open("end");
  await provider.closed();
  await chat.expectStatus("running");
  network.up();
  await chat.expectStatus("complete");
  await expect(chat.text).toHaveText(whole);
  await expect(chat.connection).toBeEmpty();
  watched.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(1);
});

test("I3: after repeated cuts, every word is there exactly once", async ({ page, chat, provider, key, network }) => {
  const words = Array.from({ length: 120 }, (_, index) => `w${index}`).join(" ");
  await provider.answers([{ gate: "start" }, { tokens: words, perSecond: 40 }, { finish: "stop" }]);
  await chat.signInAsGuest(network.url);
  const watched = await watchAnswer(page, words);
  await chat.ask(`Many tunnels, ${key}`);
  await provider.reached("start");
  await provider.open("start");
  for (const seen of ["w5 ", "w30 ", "w60 ", "w90 "]) {
    await expect(chat.text).toContainText(seen);
    network.down();
    network.up();
  }
  await expect(chat.text).toHaveText(words);
  await chat.expectStatus("complete");
  watched.expectNothingLostOrTwice();
});

test("I3 I6: offline for a while, the page waits and keeps a draft, even through a reload", async ({
  page,
  context,
  chat,
  provider,
  key,
}) => {
  const draft = "What I thought of in the tunnel";
  await provider.answers(heldHalfWay, [{ tokens: "The next one." }, { finish: "stop" }]);
  await chat.signInAsGuest();
  const watched = await watchAnswer(page, whole);
  await chat.ask(`Offline, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  await context.setOffline(true);
  await expect(chat.connection).toHaveText(away);
  await provider.open("half");
  await provider.closed();
  await chat.composer.fill(draft);
  // The length of the outage is under test.
  await page.waitForTimeout(sized(3_000, 30_000));
  await expect(chat.connection).toHaveText(away);
  await chat.expectStatus("running");
  await expect(chat.text).toHaveText(firstHalf);

  await context.setOffline(false);
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.connection).toBeEmpty();
  await expect(chat.composer).toHaveValue(draft);
  await page.reload();
  await expect(chat.composer).toHaveValue(draft);
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  watched.expectNothingLostOrTwice();
});

test("I7: a message sent offline is asked once the network is back, and only once", async ({
  page,
  context,
  chat,
  provider,
  key,
}) => {
  await provider.answers([{ tokens: whole }, { finish: "stop" }]);
  await chat.signInAsGuest();
  const watched = await watchAnswer(page, whole);
  await context.setOffline(true);
  await chat.ask(`Sent from the tunnel, ${key}`);
  await expect(chat.connection).toHaveText(away);
  await context.setOffline(false);
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.composer).toHaveValue("");
  watched.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(1);
});

test("I3 I6: drops a connection that goes silent but stays open, and fetches the rest over a new one", async ({
  page,
  chat,
  provider,
  key,
  network,
}) => {
  await provider.answers(heldHalfWay);
  // A fake clock in the page, to skip its timeout of 37.5 s.
  await page.clock.install();
  await chat.signInAsGuest(network.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`A silent tunnel, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  network.stall(true);
  await provider.open("half");
  await provider.closed();
  await page.clock.fastForward(30_000);
  await expect(chat.connection).toBeEmpty();
  await page.clock.fastForward(10_000);
  await expect(chat.connection).toHaveText(away);
  await expect(chat.text).toHaveText(firstHalf);

  network.stall(false);
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.connection).toBeEmpty();
  watched.expectNothingLostOrTwice();
});

for (const connection of ["dies", "lives"] as const) {
  test(`I3: a frozen tab whose connection ${connection} resumes when it wakes`, async ({
    page,
    chat,
    provider,
    key,
    network,
  }) => {
    await provider.answers(heldHalfWay);
    await chat.signInAsGuest(network.url);
    const watched = await watchAnswer(page, whole);
    await chat.ask(`Asleep in the tunnel, ${key}`);
    await provider.reached("half");
    await expect(chat.text).toHaveText(firstHalf);

    const wake = await freeze(page);
    if (connection === "dies") network.down();
    await provider.open("half");
    await provider.closed();
    // The length of the suspension is under test: in full it exceeds the page's timeout for a
    // silent connection.
    await new Promise((resolve) => setTimeout(resolve, sized(1_000, 45_000)));
    network.up();
    wake();
    await expect(chat.text).toHaveText(whole);
    await chat.expectStatus("complete");
    await expect(chat.connection).toBeEmpty();
    watched.expectNothingLostOrTwice();
  });
}
