// Basic use: the composer, the model, the list of chats.
import { expect, test } from "./journey.ts";

test("Shift+Enter inserts a line break, Enter sends, Regenerate re-answers", async ({ page, chat, provider, key }) => {
  await provider.answers(
    [{ tokens: "The first try." }, { finish: "stop", usage: { input: 11, output: 3 } }],
    [{ tokens: "The second try." }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.composer.fill(`Two lines for ${key}`);
  await chat.composer.press("Shift+Enter");
  await chat.composer.pressSequentially("and the second");
  await expect(chat.answers).toHaveCount(0);
  await chat.composer.press("Enter");
  await expect(chat.composer).toHaveValue("");
  await expect(chat.text).toHaveText("The first try.");
  await chat.expectStatus("complete");
  await expect(chat.details).toContainText("14 tokens");

  await chat.answer.getByRole("button", { name: "Regenerate" }).click();
  await expect(chat.text).toHaveText("The second try.");
  await chat.expectStatus("complete");
  await expect(chat.answers).toHaveCount(1);
  await page.reload();
  await expect(chat.text).toHaveText("The second try.");
  await expect(chat.answers).toHaveCount(1);
  await expect(page.getByRole("article", { name: "Your message" })).toHaveText(`Two lines for ${key}\nand the second`);
});

test("a follow-up question sends the earlier messages to the model", async ({ chat, provider, key }) => {
  await provider.answers([{ tokens: "Noted: heron." }, { finish: "stop" }], [{ tokens: "Heron." }, { finish: "stop" }]);
  await chat.signInAsGuest();
  await chat.ask(`My bird is the heron ${key}`);
  await chat.expectStatus("complete");
  await chat.ask(`Which bird is mine, ${key}?`);
  await expect(chat.answers).toHaveCount(2);
  await expect(chat.text).toHaveText("Heron.");
  await chat.expectStatus("complete");
  const { body } = await provider.closed(2);
  expect(JSON.stringify(body.messages)).toContain("My bird is the heron");
  expect(JSON.stringify(body.messages)).toContain("Noted: heron.");
});

test("choosing another model makes that model answer", async ({ page, chat }) => {
  await chat.signInAsGuest();
  await page.getByRole("button", { name: /^Model: / }).click();
  await page.getByRole("menuitemradio", { name: /Local/ }).click();
  await chat.ask("What is a turn?");
  await chat.expectStatus("complete");
  await expect(chat.details).toContainText("Local");
});

test("browser back and forward move between chats", async ({ page, chat, provider, key }) => {
  await provider.answers([{ tokens: "One." }, { finish: "stop" }], [{ tokens: "Two." }, { finish: "stop" }]);
  await chat.signInAsGuest();
  await chat.ask(`First ${key}`);
  await chat.expectStatus("complete");
  const first = await chat.chatId();
  await chat.newChat();
  await chat.ask(`Second ${key}`);
  await expect(chat.text).toHaveText("Two.");
  await chat.expectStatus("complete");
  const second = await chat.chatId();
  expect(second).not.toBe(first);

  await page.goBack();
  await expect(page).toHaveURL(`/chat/${first}`);
  await expect(chat.text).toHaveText("One.");
  await page.goForward();
  await expect(page).toHaveURL(`/chat/${second}`);
  await expect(chat.text).toHaveText("Two.");
});

test("renames, pins, searches and deletes chats", async ({ page, chat, provider, key }) => {
  await provider.answers([{ tokens: "An answer about kingfishers." }, { finish: "stop" }]);
  await chat.signInAsGuest();
  await chat.ask(`Older ${key}`);
  await chat.expectStatus("complete");
  await chat.newChat();
  await chat.ask(`Newer ${key}`);
  await chat.expectStatus("complete");
  const titles = chat.chats.getByRole("listitem").getByRole("link");
  await expect(titles).toHaveText([`Newer ${key}`, `Older ${key}`]);

  const options = async (title: string, item: string) => {
    await chat.chats.getByRole("button", { name: `Options for ${title}` }).click();
    await page.getByRole("menuitem", { name: item, exact: true }).click();
  };
  await options(`Older ${key}`, "Pin");
  await expect(titles).toHaveText([`Older ${key}`, `Newer ${key}`]);
  await options(`Newer ${key}`, "Rename");
  const field = chat.chats.getByRole("listitem").getByRole("textbox");
  await field.fill("Birds of the river");
  await field.press("Enter");
  await expect(titles).toHaveText([`Older ${key}`, "Birds of the river"]);
  await page.reload();
  await expect(titles).toHaveText([`Older ${key}`, "Birds of the river"]);

  await chat.chats.getByRole("searchbox").fill("Older");
  await expect(titles).toHaveText([`Older ${key}`]);
  await chat.chats.getByRole("searchbox").fill("");
  await expect(titles).toHaveCount(2);

  await options("Birds of the river", "Delete");
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
  await expect(titles).toHaveText([`Older ${key}`]);
  await expect(page).toHaveURL("/");
  await page.reload();
  await expect(titles).toHaveText([`Older ${key}`]);
});
