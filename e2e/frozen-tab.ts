// A tab that sleeps, as on a computer whose lid is closed: the processes that run this browser's pages are stopped, while
// the network goes on without them. (Chromium ignores Page.setWebLifecycleState for a page that Playwright looks at.)
import type { Page } from "playwright/test";

/** Nothing can be asked of the page until the returned function has been called. */
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
