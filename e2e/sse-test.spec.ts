// The page that shows a stream frame by frame: every format is cut midway, resumed, and arrives at
// the whole text.
import type { Page } from "playwright/test";
import { expect, foreignRequests, test } from "./journey.ts";

const formats = ["snapshot", "content", "agent", "rag", "token", "openai", "ai-sdk", "text"];
const whole = "Grüße from 日本 🌊, and back again.";

const textOf = (page: Page) => page.locator("#text").textContent();
const factOf = (page: Page, term: string) => page.locator(`dt:text-is("${term}") + dd`);

async function prepare(page: Page, format: string, key: string): Promise<void> {
  await page.goto("/sse-test.html");
  await page.getByRole("combobox", { name: "Format" }).selectOption(format);
  await page.getByRole("button", { name: "Guest token" }).click();
  await expect(page.getByRole("textbox", { name: "Token" })).toHaveValue(/^rvl_/);
  const body = page.getByRole("textbox", { name: "Body" });
  await body.fill((await body.inputValue()).replace("What is a rivulet?", `What is a rivulet, ${key}?`));
}

for (const format of formats) {
  test(`${format}: cut, resumed, complete`, async ({ page, context, baseURL, provider, key }) => {
    await provider.answers([
      { text: "Grüße " },
      { gate: "rest" },
      { tokens: whole.slice("Grüße ".length) },
      { finish: "stop", usage: { input: 3, output: 9 } },
    ]);
    const foreign = foreignRequests(context, new URL(baseURL ?? "").origin);
    await prepare(page, format, key);
    await page.getByRole("button", { name: "Send" }).click();
    await expect.poll(() => textOf(page)).toBe("Grüße ");
    await expect(page.getByRole("status")).toHaveText("live");

    await page.getByRole("button", { name: "Cut and resume" }).click();
    await expect(factOf(page, "Connections")).toHaveText("2");
    await expect(page.getByRole("status")).toHaveText("live");
    await expect(page.getByLabel("Raw frames")).toContainText("cut; resuming behind");
    await provider.open("rest");

    await expect(page.getByRole("status")).toHaveText("done");
    expect(await textOf(page)).toBe(whole);
    await expect(factOf(page, "First token")).toHaveText(/^\d+ ms$/);
    await expect(factOf(page, "Tokens a second")).toHaveText(/^(≈ )?\d+\.\d$/);
    await expect(factOf(page, "Last id")).toHaveText(/^[0-9a-f-]{36}\.\d+(\.\d+)?$/);
    expect(await page.locator("#events > div").count()).toBeGreaterThan(1);
    await expect(page.getByRole("alert")).toBeHidden();
    expect(foreign).toEqual([]);
  });
}

test("Stop ends the answer on the server", async ({ page, provider, key }) => {
  await provider.answers([{ text: "Half" }, { gate: "never" }, { tokens: " more" }, { finish: "stop" }]);
  await prepare(page, "snapshot", key);
  await page.getByRole("button", { name: "Send" }).click();
  await expect.poll(() => textOf(page)).toBe("Half");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByRole("status")).toHaveText("stopped");
  await expect(page.getByLabel("Raw frames")).toContainText("stopped at the server: stopped");
  expect((await provider.closed()).closedBy).toBe("client");
  expect(await textOf(page)).toBe("Half");
});

test("a rejected request shows the server's error message", async ({ page }) => {
  await page.goto("/sse-test.html");
  await page.getByRole("textbox", { name: "Token" }).fill("rvl_of_nobody");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByRole("alert")).toContainText("401: Sign in");
  await expect(page.getByRole("status")).toHaveText("failed");
});
