// Account management by its user: sessions, password, data, deletion.
import { readFile } from "node:fs/promises";
import type { Page } from "playwright/test";
import { expect, test } from "./journey.ts";

const password = "correct horse battery staple";

async function signUp(page: Page, email: string): Promise<void> {
  await page.goto("/sign-in?new");
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeVisible();
}

async function signIn(page: Page, email: string, as = password): Promise<void> {
  await page.goto("/sign-in");
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(as);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeVisible();
}

test("I24: sign out another browser, change the password, export everything and delete the account", async ({
  page,
  browser,
  baseURL,
  key,
}) => {
  const email = `${key}@example.com`;
  await signUp(page, email);
  const context = await browser.newContext({ baseURL });
  const elsewhere = await context.newPage();
  await signIn(elsewhere, email);

  await page.goto("/settings");
  const sessions = page.getByRole("list", { name: "Sessions" }).getByRole("listitem");
  await expect(sessions).toHaveCount(2);
  await expect(sessions.filter({ hasText: "This browser" })).toHaveCount(1);
  await sessions.getByRole("button", { name: /^Sign out/ }).click();
  await expect(sessions).toHaveCount(1);
  await elsewhere.reload();
  await expect(elsewhere).toHaveURL(/\/sign-in/);

  await signIn(elsewhere, email);
  await page.getByRole("button", { name: "Create token" }).click();
  await expect(page.getByRole("list", { name: "Tokens" }).getByRole("listitem")).toHaveCount(1);
  await page.getByLabel("Current password").fill("not the password");
  await page.getByLabel("New password").fill("another horse entirely");
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page.getByText("The current password is wrong. Nothing was changed.")).toBeVisible();
  await page.getByLabel("Current password").fill(password);
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page.getByText("Your password has been changed.")).toBeVisible();
  await expect(page.getByText("No tokens yet.")).toBeVisible();
  await expect(sessions).toHaveCount(1);
  await elsewhere.reload();
  await expect(elsewhere).toHaveURL(/\/sign-in/);

  const downloading = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download" }).click();
  const lines = (await readFile(await (await downloading).path(), "utf8")).trimEnd().split("\n");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ type: "account", email });
  expect(JSON.parse(lines.at(-1) ?? "")).toEqual({ type: "end", lines: lines.length - 1 });

  await page.getByRole("button", { name: "Delete account…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Password").fill("another horse entirely");
  await dialog.getByRole("button", { name: "Delete for good" }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password", { exact: true }).fill("another horse entirely");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByText("The email address or the password is wrong.")).toBeVisible();
  await context.close();
});

test("I24: a guest deletes the account after asking a question", async ({ page, chat }) => {
  await chat.signInAsGuest();
  await page.goto("/settings");
  await page.getByRole("button", { name: "Delete account…" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete for good" }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  expect((await page.request.get("/api/chats")).status()).toBe(401);
});
