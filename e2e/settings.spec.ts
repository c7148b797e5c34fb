// Tokens, from the page that creates them to the program that uses them and back.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ChatPage, expect, test } from "./journey.ts";

const run = promisify(execFile);

test("create a token, use it, revoke it", async ({ page, chat, baseURL, key }) => {
  await chat.signInAsGuest();
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitem", { name: "Settings" }).click();
  await expect(page.getByRole("heading", { name: "Settings", level: 1 })).toBeVisible();
  await expect(page.getByText("No tokens yet.")).toBeVisible();

  await page.getByLabel("Name").fill(`Laptop ${key}`);
  await page.getByRole("button", { name: "Create token" }).click();
  const shown = page.getByRole("status").filter({ hasText: "Your new token" });
  const token = (await shown.locator("code").textContent()) ?? "";
  expect(token).toMatch(/^rvl_[\w-]{43}$/);
  const row = page.getByRole("list", { name: "Tokens" }).getByRole("listitem").filter({ hasText: key });
  await expect(row).toContainText("never used");

  const headers = { Authorization: `Bearer ${token}` };
  const ask = () => fetch(`${baseURL}/api/chats`, { headers });
  expect((await ask()).status).toBe(200);
  await page.reload();
  await expect(row).toContainText("last used");
  await expect(page.getByText(token)).toHaveCount(0);

  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Cancel" }).click();
  expect((await ask()).status).toBe(200);
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByText("No tokens yet.")).toBeVisible();
  expect((await ask()).status).toBe(401);
});

for (const format of ["openai", "content", "snapshot", "agent", "rag"]) {
  test(`the command for ${format} works as shown`, async ({ page, localUrl }) => {
    const local = new ChatPage(page);
    await local.signInAsGuest(`${localUrl}/`);
    await page.goto(`${localUrl}/settings`);
    await page.getByText(format, { exact: true }).click();
    const command = page.getByRole("region", { name: "Command", exact: true });
    await expect(command).toContainText("RIVULET_TOKEN=");
    await page.getByRole("button", { name: "Create token" }).click();
    await expect(command).toContainText("Bearer rvl_");
    expect(await command.textContent()).toContain(`curl -N ${localUrl}/`);
    const { stdout } = await run("sh", ["-c", (await command.textContent()) ?? ""]);
    expect(stdout).toMatch(/^data: .*(\[DONE\]|"done":true|"type":"(done|metadata)").*$/m);
  });
}

test("a guest sees how long an inactive guest is kept, before and after signing in", async ({ page, chat }) => {
  await page.goto("/sign-in");
  await expect(page.getByText("deleted after 30 days without a visit")).toBeVisible();
  await chat.signInAsGuest();
  await page.goto("/settings");
  await expect(page.getByText("They are deleted after 30 days without a visit.")).toBeVisible();
});

test("requires a signed-in user", async ({ page }) => {
  await page.goto("/settings");
  await expect(page).toHaveURL(/\/sign-in/);
});
