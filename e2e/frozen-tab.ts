// A suspended tab, as with a closed lid: stops the processes that run this browser's pages while
// the network goes on without them. (Chromium ignores Page.setWebLifecycleState for pages that
// Playwright watches.)
import type { Page } from "playwright/test";

/** The page cannot be queried until the returned function is called. */
export async function freeze(page: Page): Promise<() => void> {
  const browser = page.context().browser();
  if (!browser) throw new Error("This page has no browser of its own");
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const renderers = processInfo.filter(({ type }) => type === "renderer");
  for (const { id } of renderers) process.kill(id, "SIGSTOP");
  return () => {
    for (const { id } of renderers) process.kill(id, "SIGCONT");
  };
}
