// How the page shows a slow model, and an answer that its provider ended early.
import { expect, test } from "./journey.ts";

const answerText = "The river was crossed by night, and the boats were";
const rest = " burnt behind the last man.";

test("loading and thinking show elapsed time, and an answer cut off at its length limit can be continued", async ({
  page,
  chat,
  provider,
  key,
}) => {
  await provider.answers(
    [{ answer: 503, body: { error: { message: "Loading model" } }, headers: { "retry-after": "0" } }],
    [
      { gate: "load" },
      { headers: true },
      { gate: "think" },
      { reasoning: "Boats burn well." },
      { gate: "reason" },
      { tokens: answerText },
      { finish: "length" },
    ],
    [{ tokens: rest }, { finish: "stop" }],
  );
  const status = chat.answer.getByRole("status");
  const elapsed = chat.answer.locator('[data-part="elapsed"]');
  const reasoning = chat.answer.locator('[data-part="reasoning"]');
  const seconds = async () => Number(/^(\d+) s$/.exec((await elapsed.textContent()) ?? "")?.[1]);

  await chat.signInAsGuest();
  await chat.ask(`How was ${key} crossed?`);
  await provider.reached("load");
  await expect(status).toContainText("The model is loading…");
  await expect.poll(seconds).toBeGreaterThanOrEqual(3);
  const before = await seconds();
  await page.reload();
  await expect(status).toContainText("The model is loading…");
  await expect(elapsed).toHaveText(/^\d+ s$/);
  expect(await seconds()).toBeGreaterThanOrEqual(before);

  await provider.open("load");
  await expect(status).toContainText("Thinking…");
  await provider.open("think");
  await expect(reasoning).toContainText("Thinking…");
  await expect(elapsed).toHaveCount(1);
  await provider.open("reason");
  await chat.expectStatus("complete");
  await expect(chat.text).toHaveText(answerText);
  await expect(reasoning).toContainText(/Thought for \d+ s/);
  await expect(chat.answer.getByText("The answer reached its length limit.", { exact: true })).toBeVisible();

  await chat.continue.click();
  await expect(chat.text).toHaveText(answerText + rest);
  await chat.expectStatus("complete");
  await expect(chat.answers).toHaveCount(1);
  await expect(chat.answer.getByText("Cut off")).toHaveCount(0);
  await page.reload();
  await expect(chat.text).toHaveText(answerText + rest);
  await expect(reasoning).toContainText(/Thought for \d+ s/);
});

test("an answer ended by a content filter says so and offers a new answer instead of Continue", async ({
  chat,
  provider,
  key,
}) => {
  await provider.answers([{ tokens: answerText }, { finish: "content_filter" }]);
  await chat.signInAsGuest();
  await chat.ask(`How was ${key} crossed?`);
  await chat.expectStatus("complete");
  await expect(
    chat.answer.getByText("The provider’s content filter ended this answer.", { exact: true }),
  ).toBeVisible();
  await expect(chat.answer.getByRole("button", { name: "Regenerate" })).toBeVisible();
  await expect(chat.continue).toHaveCount(0);
});
