// The page behind a network that fails: a proxy between browser and server cuts every connection.
import { startFaultProxy } from "@/test/fault-proxy";
import { expect, test } from "./journey.ts";

const firstHalf = "Before the tunnel every word arrives,";
const secondHalf = " and after it the rest is there as if nothing had been.";

test("without a network the page says so, and catches up by itself", async ({ page, chat, provider, key, baseURL }) => {
  await provider.answers([{ tokens: firstHalf }, { gate: "half" }, { tokens: secondHalf }, { finish: "stop" }]);
  const network = await startFaultProxy(Number(new URL(baseURL ?? "").port));
  await chat.signInAsGuest(network.url);
  await chat.ask(`Through the tunnel, ${key}`);
  await provider.reached("half");
  await expect(chat.text).toHaveText(firstHalf);

  network.down();
  const connection = page.getByRole("status", { name: "Connection" });
  await expect(connection).toHaveText("Reconnecting…");
  await chat.expectStatus("running");
  await provider.open("half");
  expect(await provider.closed()).toMatchObject({ closedBy: "server", sent: firstHalf + secondHalf });
  await expect(chat.text).toHaveText(firstHalf);

  network.up();
  await expect(chat.text).toHaveText(firstHalf + secondHalf);
  await chat.expectStatus("complete");
  await expect(connection).toBeEmpty();
  await network.close();
});

test("cut again and again, every word is there once", async ({ chat, provider, key, baseURL }) => {
  const words = Array.from({ length: 120 }, (_, index) => `w${index}`).join(" ");
  await provider.answers([{ gate: "start" }, { tokens: words, perSecond: 40 }, { finish: "stop" }]);
  const network = await startFaultProxy(Number(new URL(baseURL ?? "").port));
  await chat.signInAsGuest(network.url);
  await chat.ask(`Many tunnels, ${key}`);
  await provider.reached("start");
  await provider.open("start");
  for (const seen of ["w5 ", "w30 ", "w60 ", "w90 "]) {
    await expect(chat.text).toContainText(seen);
    network.down();
    network.up();
  }
  await expect(chat.text).toHaveText(words);
  await chat.expectStatus("complete");
  await network.close();
});
