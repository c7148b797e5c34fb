// Irreversible calls need the user's consent when documents are part of the conversation: a card
// with Allow and Deny.

import { type ChatPage, expect, test } from "./journey.ts";
import type { ScriptedProvider } from "./scripted-provider.ts";

const call = (tool: string, input: object) => ({ tool, arguments: [JSON.stringify(input)] });
const calls = { finish: "tool_calls" } as const;

/** Asks about the sample documents; the model adds two tasks and wants to delete the given ones. */
async function ask(chat: ChatPage, provider: ScriptedProvider, key: string, deleted: number[], then: string) {
  await provider.answers(
    [call("add_task", { title: "Buy milk" }), call("add_task", { title: "Call Ann" }), calls],
    [{ text: "The document says so." }, ...deleted.map((task_id) => call("delete_task", { task_id })), calls],
    [{ text: then }, { gate: "end" }, { finish: "stop" }],
    [call("list_tasks", {}), calls],
    [{ text: "These." }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.ask(`How does Rivulet keep an answer when the server dies? ${key}`);
  await chat.expectStatus("complete");
  await expect(chat.sources.getByRole("listitem").first()).toBeVisible();
}

async function expectTasks(chat: ChatPage, key: string, gist: string) {
  await chat.ask(`And now? ${key}`);
  await expect(chat.text).toHaveText("These.");
  await expect(chat.answer.locator("summary")).toHaveText(`list_tasks${gist}Done`);
}

test("I21: the approval card says what will happen, survives a reload, and Allow runs the tool", async ({
  page,
  chat,
  provider,
  key,
}) => {
  await ask(chat, provider, key, [1], "It is gone.");
  const card = chat.answer.getByRole("region", { name: "Consent to delete_task" });
  const check = async () => {
    await expect(card).toContainText("Deletes the task “Buy milk” for good.");
    await expect(card.getByRole("button", { name: "Deny" })).toBeVisible();
    await expect(chat.answer.locator("summary").last()).toHaveText("delete_taskNeeds your consent");
    await expect(chat.answer.getByRole("status")).toHaveText("This answer needs your consent to continue.");
  };
  await check();
  await page.reload();
  await check();

  await card.getByRole("button", { name: "Allow" }).click();
  await expect(card).toHaveCount(0);
  await expect(chat.text).toHaveText(["The document says so.", "It is gone."]);
  await chat.expectStatus("running");
  await provider.open("end");
  await chat.expectStatus("complete");
  const summaries = ["add_taskBuy milkDone", "add_taskCall AnnDone", "delete_taskBuy milkDone"];
  await expect(chat.answer.locator("summary")).toHaveText(summaries);
  await page.reload();
  await expect(chat.answer.locator("summary")).toHaveText(summaries);
  await expect(chat.answers).toHaveCount(1);
  await expectTasks(chat, key, "1 task");
});

test("I21: with one request allowed and one denied, both decisions are sent together", async ({
  page,
  chat,
  provider,
  key,
}) => {
  await ask(chat, provider, key, [1, 2], "One stays.");
  const cards = chat.answer.getByRole("region", { name: "Consent to delete_task" });
  await expect(cards).toHaveCount(2);
  await cards.first().getByRole("button", { name: "Deny" }).click();
  await expect(cards.first()).toContainText("Denied. Decide on the other calls as well.");
  await cards.last().getByRole("button", { name: "Allow" }).click();
  await provider.open("end");
  await chat.expectStatus("complete");
  const check = () =>
    expect(chat.answer.locator("summary")).toHaveText([
      "add_taskBuy milkDone",
      "add_taskCall AnnDone",
      "delete_taskDeclined",
      "delete_taskCall AnnDone",
    ]);
  await check();
  await page.reload();
  await check();
  await expectTasks(chat, key, "1 task");
});

test("I7: of two tabs, the first decision counts and both show it", async ({ context, page, chat, provider, key }) => {
  await ask(chat, provider, key, [1], "It is gone.");
  await provider.open("end");
  const second = await context.newPage();
  await second.goto(page.url());
  await expect(second.getByRole("button", { name: "Deny" })).toBeVisible();
  await page.getByRole("button", { name: "Allow" }).click();
  await chat.expectStatus("complete");
  await expect(chat.text).toHaveText(["The document says so.", "It is gone."]);
  const answer = second.getByRole("article", { name: "Answer" }).last();
  await expect(answer.locator('[data-part="text"]')).toHaveText(["The document says so.", "It is gone."]);
  await expect(answer.locator("summary").last()).toHaveText("delete_taskBuy milkDone");
  await expectTasks(chat, key, "1 task");
});

test("sending a message instead of a decision is not consent", async ({ chat, provider, key }) => {
  await ask(chat, provider, key, [1], "Never mind.");
  await provider.open("end");
  await chat.ask(`Something else, ${key}`);
  await expect(chat.text).toHaveText("Never mind.");
  await expect(chat.answers.first().locator("summary").last()).toHaveText("delete_taskNot run");
  await expect(chat.answers.first().getByRole("button", { name: "Allow" })).toHaveCount(0);
  await expectTasks(chat, key, "2 tasks");
});
