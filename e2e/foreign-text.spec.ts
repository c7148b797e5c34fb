// Deceptive third-party text: links that name another host, invisible characters.
import { expect, test } from "./journey.ts";

/** Bidi overrides, terminal escapes, Unicode tag characters. */
const hidden = ["\u202e", "\u2066", "\u001b", "\u009b", "\u{e0041}"];
const lying = `in${hidden.join("")}voice`;
const anyHidden = new RegExp(`[${hidden.slice(0, 4).join("")}]|\u{e0041}`, "u");

test("I21: a link shows its real target when its text names another, and invisible characters are removed", async ({
  page,
  chat,
  provider,
  key,
}) => {
  await provider.answers([
    {
      text: [
        "[https://bank.example/login](https://evil.example/x) and [**bank**.example](https://evil.example:8443)",
        "[click here](https://evil.example), [evil.example](https://www.evil.example/), https://evil.example/a.b",
        "[help@bank.example](mailto:thief@evil.example) and [bank.example](https://xn--bnk-0na.example)",
        `The ${lying} and \`code ${lying}\`.`,
        `[${hidden[0]}elpmaxe.knab](https://evil.example)`,
      ].join("\n\n"),
    },
    { finish: "stop" },
  ]);
  await chat.signInAsGuest();
  await chat.ask(`${lying} ${key}`);
  await chat.expectStatus("complete");

  const check = async () => {
    await expect(chat.text.locator("p")).toHaveText([
      "https://bank.example/login (evil.example) and bank.example (evil.example:8443)",
      "click here, evil.example, https://evil.example/a.b",
      "help@bank.example (thief@evil.example) and bank.example (xn--bnk-0na.example)",
      "The invoice and code invoice.",
      "elpmaxe.knab (evil.example)",
    ]);
    const row = chat.chats.getByRole("link", { name: `invoice ${key}`, exact: true });
    await expect(row).toBeVisible();
    await expect(page).toHaveTitle(`invoice ${key} · Rivulet`);
    expect(await chat.text.innerText()).not.toMatch(anyHidden);
    expect(await chat.chats.innerText()).not.toMatch(anyHidden);
  };
  await check();
  await page.reload();
  await check();

  // The API accepts any title.
  const chatId = await chat.chatId();
  const renamed = await page.request.patch(`/api/chats/${chatId}`, { data: { title: `Re${lying}` } });
  expect(renamed.status()).toBe(200);
  await page.reload();
  await expect(page).toHaveTitle("Reinvoice · Rivulet");
  await expect(chat.chats.getByRole("button", { name: "Options for Reinvoice" })).toHaveCount(1);
});

test("I21: a document's title and heading show as one visible line, in the list and as a source", async ({
  page,
  chat,
  localUrl,
}) => {
  await chat.signInAsGuest(localUrl);
  await page.getByRole("button", { name: "Documents", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Documents" });
  await dialog.getByLabel("Upload a document").setInputFiles({
    name: "lantern.md",
    mimeType: "text/markdown",
    buffer: Buffer.from(
      `# Moonwick ${lying}\n\nThe moonwick lantern ${lying} is lit at dusk by the youngest keeper.\n`,
    ),
  });
  await expect(dialog.getByRole("button", { name: "Delete Moonwick invoice" })).toBeVisible();
  await page.keyboard.press("Escape");
  await chat.ask("When is the moonwick lantern lit?");
  await chat.expectStatus("complete");
  const source = chat.sources.getByRole("listitem").filter({ hasText: "Moonwick" }).first();
  await source.getByRole("button").click();
  await expect(source).toContainText("Moonwick invoice");
  expect(await source.innerText()).not.toMatch(anyHidden);
  expect(await chat.text.innerText()).not.toMatch(anyHidden);
});
