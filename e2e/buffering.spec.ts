// Debian's nginx between browser and server: as in docs/operations.md, and set to buffer.
import { readFileSync } from "node:fs";
import { requirePrograms } from "@/scripts/debian";
import { Front } from "@/test/chaos/front";
import { test as base, expect } from "./journey.ts";
import { watchAnswer } from "./watch-answer.ts";

const firstHalf = "Every word comes as it is written,";
const secondHalf = " unless something keeps it back.";
const whole = firstHalf + secondHalf;
const heldHalfWay = [{ tokens: firstHalf }, { gate: "half" }, { tokens: secondHalf }, { finish: "stop" as const }];
const selfTest = "/api/health/stream";

/** The location's directives in docs/operations.md, except the upstream. */
function documentedDirectives(): string {
  const text = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8");
  const [, location] = /^location \/ \{\n([^}]*)\}$/m.exec(text) ?? [];
  if (!location) throw new Error("docs/operations.md has no location for nginx");
  return location.replace(/^\s*proxy_pass .*$/m, "");
}

type Fronts = { documented: Front; buffering: Front; tests: () => number };
const test = base.extend<Fronts>({
  documented: async ({ baseURL }, use) => {
    const front = await Front.start("nginx", Number(new URL(baseURL ?? "").port), documentedDirectives());
    await use(front);
    await front.remove();
  },
  buffering: async ({ baseURL }, use) => {
    // With its default HTTP/1.0: over 1.1 nginx buffers too, but passes on each complete chunk.
    const directives = documentedDirectives().replace(
      /^\s*proxy_http_version .*$/m,
      "proxy_ignore_headers X-Accel-Buffering;",
    );
    const front = await Front.start("nginx", Number(new URL(baseURL ?? "").port), directives);
    await use(front);
    await front.remove();
  },
  /** How many tests the page has run so far. */
  tests: async ({ page }, use) => {
    let count = 0;
    page.on("request", (request) => {
      if (new URL(request.url()).pathname === selfTest) count += 1;
    });
    await use(() => count);
  },
});

test.beforeAll(() => {
  // Installs nginx if it is missing.
  test.setTimeout(300_000);
  requirePrograms("nginx");
});

test("I3: behind nginx, words stream one by one; the page probes once and shows no warning", async ({
  page,
  chat,
  provider,
  key,
  documented,
  tests,
}) => {
  await provider.answers(heldHalfWay, [{ tokens: "Another one." }, { finish: "stop" }]);
  await chat.signInAsGuest(documented.url);
  const watched = await watchAnswer(page, whole);
  const tested = page.waitForResponse((response) => new URL(response.url()).pathname === selfTest);
  await chat.ask(`Behind nginx, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);
  expect(tests()).toBe(0);
  await provider.open("half");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  watched.expectNothingLostOrTwice();
  await tested;
  await expect.poll(() => page.evaluate(() => sessionStorage.getItem("rivulet.buffering.direct"))).toBe("1");
  expect(tests()).toBe(1);
  await expect(chat.buffering).toBeEmpty();

  await page.reload();
  await chat.ask(`Once more, ${key}`);
  await expect(chat.text).toHaveText("Another one.");
  await chat.expectStatus("complete");
  await page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve)));
  expect(tests()).toBe(1);
});

test("behind a buffering nginx, the answer arrives whole and a note says why and what to do", async ({
  page,
  chat,
  provider,
  key,
  buffering,
  tests,
}) => {
  await provider.answers(heldHalfWay, [{ tokens: "Another one." }, { finish: "stop" }]);
  await chat.signInAsGuest(buffering.url);
  const watched = await watchAnswer(page, whole);
  await chat.ask(`Behind a buffer, ${key}`);
  await provider.reached("half");
  await expect(chat.buffering).toBeEmpty();
  await provider.open("half");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  watched.expectNothingLostOrTwice();

  await expect(chat.buffering).toContainText("buffers answers");
  // A single positive test is not trusted.
  expect(tests()).toBe(2);
  await chat.buffering.getByRole("button", { name: "How to fix it" }).click();
  const fixes = page.getByRole("dialog", { name: "Answers are being buffered" });
  for (const fix of ["proxy_buffering off;", "flush_interval -1", "Cloudflare", `${buffering.url}${selfTest}`])
    await expect(fixes).toContainText(fix);
  await page.keyboard.press("Escape");
  await expect(fixes).toBeHidden();

  await chat.chats.getByRole("link", { name: "New chat" }).click();
  await expect(chat.answers).toHaveCount(0);
  await expect(chat.buffering).toContainText("buffers answers");
  await chat.buffering.getByRole("button", { name: "Close" }).click();
  await expect(chat.buffering).toBeEmpty();
  await page.reload();
  await chat.ask(`Once more, ${key}`);
  await expect(chat.text).toHaveText("Another one.");
  await chat.expectStatus("complete");
  await page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve)));
  await expect(chat.buffering).toBeEmpty();
  expect(tests()).toBe(2);
});

test("I6 I7: behind a buffer, the page abandons a stream that stays silent too long but still shows the answer", async ({
  page,
  chat,
  provider,
  key,
  buffering,
}) => {
  await provider.answers([{ gate: "start" }, { tokens: whole }, { finish: "stop" }]);
  // A fake clock in the page, to skip its timeout.
  await page.clock.install();
  await chat.signInAsGuest(buffering.url);
  const watched = await watchAnswer(page, whole);
  let polls = 0;
  page.on("request", (request) => {
    if (/^\/api\/turns\/[\w-]+$/.test(new URL(request.url()).pathname)) polls += 1;
  });
  await chat.ask(`Long behind a buffer, ${key}`);
  await provider.reached("start");
  await expect(async () => {
    await page.clock.fastForward(20_000);
    expect(polls).toBeGreaterThan(2);
  }).toPass();
  await expect(chat.connection).toHaveText("Reconnecting…");
  await provider.open("start");
  await expect(chat.text).toHaveText(whole);
  await chat.expectStatus("complete");
  await expect(chat.connection).toBeEmpty();
  watched.expectNothingLostOrTwice();
  expect(await provider.requests()).toBe(1);
});
