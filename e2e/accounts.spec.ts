// Access control.
import { ChatPage, expect, test } from "./journey.ts";

test("sign up, sign out, sign in again: the chat is still there", async ({ page, chat, provider, key }) => {
  await provider.answers([{ tokens: "An answer worth keeping." }, { finish: "stop" }]);
  const email = `${key}@example.com`;
  const password = "correct horse battery staple";

  await page.goto("/");
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(chat.composer).toBeVisible();
  await chat.ask(`Please remember ${key}`);
  await chat.expectStatus("complete");
  const address = `/chat/${await chat.chatId()}`;

  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await page.goto(address);
  await expect(page).toHaveURL(/\/sign-in/);

  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password", { exact: true }).fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert").filter({ hasText: /./ })).toBeVisible();
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(chat.composer).toBeVisible();
  await chat.chats.getByRole("link", { name: key }).click();
  await expect(page).toHaveURL(address);
  await expect(chat.text).toHaveText("An answer worth keeping.");
});

test("I20: a user cannot see another user's chat", async ({ chat, browser, baseURL, provider, key }) => {
  await provider.answers([{ tokens: "Between us." }, { finish: "stop" }]);
  await chat.signInAsGuest();
  await chat.ask(`A secret about ${key}`);
  await chat.expectStatus("complete");
  const chatId = await chat.chatId();
  const own = await chat.page.request.get(`/api/chats/${chatId}`);
  expect(own.status()).toBe(200);

  const context = await browser.newContext({ baseURL });
  const other = new ChatPage(await context.newPage());
  const anonymous = await other.page.goto(`/chat/${chatId}`);
  expect(anonymous?.ok()).toBe(true);
  await expect(other.page).toHaveURL(/\/sign-in/);
  await other.page.getByRole("button", { name: "Continue as guest" }).click();
  await expect(other.page).not.toHaveURL(/\/sign-in/);

  await other.page.goto(`/chat/${chatId}`);
  await expect(other.page.getByRole("heading", { name: "Chat not found" })).toBeVisible();
  await expect(other.page.getByText(key)).toHaveCount(0);
  await expect(other.page.getByText("Between us.")).toHaveCount(0);
  for (const path of [`/api/chats/${chatId}`, `/api/chats/${chatId}/messages`, `/api/chats/unknown-chat-of-nobody`]) {
    expect((await other.page.request.get(path)).status(), path).toBe(404);
  }
  expect((await other.page.request.get(`/api/chat/${chatId}/stream`)).status()).toBe(204);
  await context.close();
});
