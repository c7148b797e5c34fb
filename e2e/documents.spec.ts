// Answers from documents, by the model that needs no provider.
import { startFaultProxy } from "@/test/fault-proxy";
import { ChatPage, expect, test } from "./journey.ts";
import { firstSeen, watchStages } from "./stages.ts";

test("a question about the sample documents shows every retrieval stage in order", async ({ page, chat, localUrl }) => {
  const network = await startFaultProxy(Number(new URL(localUrl).port));
  await chat.signInAsGuest(network.url);
  await watchStages(page);
  // A slow connection, about 10 kB/s: the search takes milliseconds, and the page redraws at most
  // every 50 ms.
  network.piece(600, 60);
  await chat.suggestions.first().click();
  await chat.expectStatus("complete");
  await expect(chat.details).toContainText("Local");

  expect(await firstSeen(page)).toEqual(["searching", "sources", "generating", "text", "details"]);

  network.piece(null);
  const source = chat.sources.getByRole("listitem").first();
  await expect(source).toContainText("[1]");
  await expect(source).toContainText(/\d+ ?%/);
  await expect(chat.text.getByRole("button", { name: "Source 1" }).first()).toBeVisible();
  await expect(chat.details).toContainText(/\d+(\.\d)? ?s/);
  await expect(chat.details).toContainText(/\d+ tokens/);

  await page.reload();
  await chat.expectStatus("complete");
  await expect(source).toContainText("[1]");
  await expect(chat.details).toContainText(/\d+ tokens/);
  await network.close();
});

test("every suggested question is answered from the sample documents", async ({ page, chat, localUrl }) => {
  await chat.signInAsGuest(localUrl);
  const questions = await chat.suggestions.allTextContents();
  expect(questions.length).toBeGreaterThan(1);
  for (const question of questions) {
    await page.goto(localUrl);
    await chat.suggestions.getByText(question).click();
    await chat.expectStatus("complete");
    await expect(chat.sources.getByRole("listitem").first(), question).toBeVisible();
    await expect(chat.text.getByRole("button", { name: /^Source \d/ }).first(), question).toBeVisible();
  }
});

test("an uploaded file is cited, and disappears when deleted", async ({ page, chat, localUrl }) => {
  await chat.signInAsGuest(localUrl);
  await page.getByRole("button", { name: "Documents", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Documents" });
  await dialog.getByLabel("Upload a document").setInputFiles({
    name: "quillfeather.md",
    mimeType: "text/markdown",
    buffer: Buffer.from(
      "# Quillfeather handbook\n\n## Lantern duty\n\nThe quillfeather lantern is lit at dusk by the youngest keeper, " +
        "who counts eleven steps from the western gate.\n\n## Bread\n\nBread is baked on Thursdays.\n",
    ),
  });
  await expect(dialog.getByRole("button", { name: "Delete Quillfeather handbook" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();

  await chat.ask("Who lights the quillfeather lantern?");
  await chat.expectStatus("complete");
  const source = chat.sources.getByRole("listitem").first();
  await expect(source).toContainText("Quillfeather handbook");
  await expect(chat.text).toContainText("youngest keeper");
  await expect(chat.text.getByRole("button", { name: "Source 1" }).first()).toBeVisible();
  await source.getByRole("button").click();
  await expect(chat.sources).toContainText("counts eleven steps from the western gate");

  await page.getByRole("button", { name: "Documents", exact: true }).click();
  await dialog.getByRole("button", { name: "Delete Quillfeather handbook" }).click();
  const confirmation = page.getByRole("alertdialog");
  await confirmation.getByRole("button", { name: "Delete" }).click();
  await expect(dialog.getByRole("button", { name: "Delete Quillfeather handbook" })).toHaveCount(0);
});

test("users cannot see each other's documents", async ({ chat, browser, localUrl }) => {
  await chat.signInAsGuest(localUrl);
  const upload = await chat.page.request.post(`${localUrl}/api/documents`, {
    headers: { origin: localUrl },
    multipart: { file: { name: "mine.md", mimeType: "text/markdown", buffer: Buffer.from("# Mine\n\nzebrawood") } },
  });
  expect(upload.status()).toBe(201);
  const { id } = await upload.json();

  const context = await browser.newContext({ baseURL: localUrl });
  const other = new ChatPage(await context.newPage());
  await other.signInAsGuest();
  expect((await other.page.request.get(`/api/documents/${id}`)).status()).toBe(404);
  await other.ask("What is zebrawood?");
  await other.expectStatus("complete");
  await expect(other.answer).not.toContainText("Mine");
  await context.close();
});
