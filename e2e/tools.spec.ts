// Tools in the page: one card per call, with readable arguments and results, also after a reload.
import { expect, test } from "./journey.ts";

const call = (tool: string, ...given: string[]) => ({ tool, arguments: given });

test("the model adds a task and lists tasks: two cards, both kept on reload", async ({ page, chat, provider, key }) => {
  await provider.answers(
    [call("add_task", '{"title": "Water the', ' plants", "description": "Balcony first"}'), { finish: "tool_calls" }],
    [call("add_task", '{"title": "<b>Call</b> Ann"}'), { finish: "tool_calls" }],
    [call("complete_task", '{"task_id": 2}'), call("list_tasks", "{}"), { finish: "tool_calls" }],
    [{ tokens: "Both are on your list." }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.ask(`Two tasks, please ${key}`);
  await chat.expectStatus("complete");
  await expect(chat.text).toHaveText("Both are on your list.");
  const cards = chat.answer.locator('[data-part="tool"]');

  const check = async () => {
    await expect(cards.locator("summary")).toHaveText([
      "add_taskWater the plantsDone",
      "add_task<b>Call</b> AnnDone",
      "complete_task<b>Call</b> AnnDone",
      "list_tasks2 tasksDone",
    ]);
    await expect(cards.first().getByRole("region", { name: "Arguments" })).toBeHidden();
    await cards.first().locator("summary").click();
    await expect(cards.first().getByRole("region", { name: "Arguments" })).toContainText("descriptionBalcony first");
    await cards.last().locator("summary").click();
    const items = cards.last().getByRole("region", { name: "Result" }).getByRole("listitem");
    await expect(items).toHaveCount(2);
    await expect(items.first()).toContainText("Water the plants");
    await expect(items.first().getByRole("img", { name: "pending" })).toBeVisible();
    await expect(items.last()).toContainText("<b>Call</b> Ann");
    await expect(items.last().getByRole("img", { name: "completed" })).toBeVisible();
  };
  await check();
  await page.reload();
  await check();
  await expect(chat.text).toHaveText("Both are on your list.");
});

test("a failing tool says so in its card, and the answer continues", async ({ page, chat, provider, key }) => {
  await provider.answers(
    [call("complete_task", '{"task_id": 99}'), call("add_task", '{"title": ""}'), { finish: "tool_calls" }],
    [{ tokens: "There is no such task." }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.ask(`Complete 99 ${key}`);
  await chat.expectStatus("complete");
  const cards = chat.answer.locator('[data-part="tool"]');
  const check = async () => {
    await expect(cards.locator("summary")).toHaveText(["complete_taskFailed", "add_taskFailed"]);
    await cards.first().locator("summary").click();
    await expect(cards.first()).toContainText("There is no task with this task_id.");
    await cards.last().locator("summary").click();
    await expect(cards.last()).toContainText("The arguments do not fit this tool.");
    await expect(chat.text).toHaveText("There is no such task.");
  };
  await check();
  await page.reload();
  await check();
});

test("a running tool shows as running; Stop closes its card", async ({ page, chat, provider, key }) => {
  await provider.answers([call("add_task", '{"title": "Half'), { gate: "typing" }, { finish: "tool_calls" }]);
  await chat.signInAsGuest();
  await chat.ask(`Slowly ${key}`);
  const card = chat.answer.locator('[data-part="tool"]');
  await expect(card.locator("summary")).toContainText("Preparing…");
  await page.getByRole("button", { name: "Stop" }).click();
  await chat.expectStatus("stopped");
  await expect(card.locator("summary")).toContainText("Failed");
  await page.reload();
  await expect(card.locator("summary")).toContainText("Failed");
  await chat.expectStatus("stopped");
});
