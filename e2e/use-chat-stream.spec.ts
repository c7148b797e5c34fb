// The React hook in a real browser against the real server, on a separate page served by Vite: the
// product's pages use the AI SDK's hook.
import { createViteServer } from "vitest/node";
import { expect, test } from "./journey.ts";

const root = new URL("..", import.meta.url).pathname;
const source = `
  import { createElement as h, StrictMode } from "react";
  import { createRoot } from "react-dom/client";
  import { useChatStream } from "/packages/client/src/use-chat-stream.ts";
  const { token, userId } = await (await fetch("/api/tokens", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: '{"guest":true}',
  })).json();
  function Chat() {
    const { messages, isStreaming, streamedText, error, sources, send, cancel, retry } =
      useChatStream({ dialect: new URLSearchParams(location.search).get("dialect"), token, userId });
    return h("main", null,
      h("ol", null, messages.map(({ id, role, text, end }) => h("li", { key: id }, role, ": ", text, end ? " (" + end + ")" : ""))),
      h("p", { id: "streamed" }, streamedText),
      h("p", { role: "status" }, isStreaming ? "streaming" : "ready"),
      h("p", { role: "alert" }, error?.code),
      h("input", { "aria-label": "Question" }),
      h("button", { onClick: () => send(document.querySelector("input").value) }, "Send"),
      h("button", { onClick: cancel }, "Cancel"),
      h("button", { onClick: retry }, "Retry"));
  }
  createRoot(document.getElementById("root")).render(h(StrictMode, null, h(Chat)));
`;
const html = `<!doctype html><meta charset="utf-8"><div id="root"></div><script type="module" src="/hook-page.js"></script>`;

let vite: Awaited<ReturnType<typeof createViteServer>>;
test.beforeAll(async () => {
  const target = process.env.E2E_URL ?? "";
  vite = await createViteServer({
    ...{ root, configFile: false, logLevel: "error", appType: "custom", cacheDir: ".cache/vite" },
    optimizeDeps: { include: ["react", "react-dom/client", "eventsource-parser", "uuid", "zod"] },
    server: {
      ...{ port: 0, host: "localhost", hmr: false, watch: null },
      // The server must see the page's host: a token is only created for its own origin.
      proxy: Object.fromEntries(
        ["/api", "/v1", "/chat", "/sessions"].map((path) => [path, { target, changeOrigin: false }]),
      ),
    },
    plugins: [
      {
        name: "hook-page",
        resolveId: (id) => (id === "/hook-page.js" ? id : undefined),
        load: (id) => (id === "/hook-page.js" ? source : undefined),
        configureServer: ({ middlewares }) =>
          void middlewares.use("/hook", (_request, response) => void response.end(html)),
      },
    ],
  });
  await vite.listen();
});
test.afterAll(() => vite.close());

const addressOf = (dialect: string) => new URL(`/hook?dialect=${dialect}`, vite.resolvedUrls?.local[0]).href;

for (const dialect of ["snapshot", "content", "agent", "rag", "token", "openai", "ai-sdk", "text"]) {
  test(`${dialect}: send, cancel, retry`, async ({ page, provider, key }) => {
    await provider.answers(
      [{ text: "Half" }, { gate: "never" }, { finish: "stop" }],
      [{ tokens: "The whole answer." }, { finish: "stop" }],
    );
    await page.goto(addressOf(dialect));
    await page.getByLabel("Question").fill(`Tell ${key}`);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("#streamed")).toHaveText("Half");
    await expect(page.getByRole("listitem")).toHaveText([`user: Tell ${key}`]);

    await page.getByRole("button", { name: "Cancel" }).click();
    await expect(page.getByRole("status")).toHaveText("ready");
    await expect(page.getByRole("listitem").last()).toHaveText("assistant: Half (stopped)");
    expect((await provider.closed()).closedBy).toBe("client");

    await page.getByRole("button", { name: "Retry" }).click();
    await expect(page.getByRole("listitem").last()).toHaveText("assistant: The whole answer. (done)");
    await expect(page.getByRole("status")).toHaveText("ready");
    await expect(page.getByRole("alert")).toHaveText("");
  });
}
