// The product on a small touch screen.
import { expect, test } from "./journey.ts";

test("ask, open the drawer, switch to another chat and back", async ({ page, chat, provider, key }) => {
  await provider.answers(
    [{ tokens: "The first answer." }, { finish: "stop" }],
    [{ tokens: "The second answer." }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.ask(`First ${key}`);
  await chat.expectStatus("complete");
  const first = await chat.chatId();

  await expect(chat.chats).toBeHidden();
  await page.getByRole("button", { name: "Open chats" }).tap();
  await expect(chat.chats).toBeVisible();
  await chat.newChat();
  await expect(chat.chats).toBeHidden();
  await chat.ask(`Second ${key}`);
  await expect(chat.text).toHaveText("The second answer.");
  await chat.expectStatus("complete");

  await page.getByRole("button", { name: "Open chats" }).tap();
  await chat.chats.getByRole("link", { name: `First ${key}` }).tap();
  await expect(page).toHaveURL(`/chat/${first}`);
  await expect(chat.text).toHaveText("The first answer.");
  await expect(chat.chats).toBeHidden();

  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow).toBeLessThanOrEqual(0);
});
