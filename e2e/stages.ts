// Records the order in which an answer's stages appear. A MutationObserver sees every state of the
// page, however short; polling from outside would race with it.
import type { Page } from "playwright/test";

export type Stage = "searching" | "sources" | "generating" | "text" | "details";

type Watched = { seenStages: Stage[] };

/** Call before asking. */
export async function watchStages(page: Page): Promise<void> {
  await page.evaluate(() => {
    const seen: Stage[] = [];
    (window as unknown as Watched).seenStages = seen;
    const answers = () => [...document.querySelectorAll('article[aria-label="Answer"]')];
    const within = (selector: string, holds: (element: Element) => boolean) =>
      answers().some((answer) => [...answer.querySelectorAll(selector)].some(holds));
    const says = (words: string) => (element: Element) => element.textContent?.includes(words) ?? false;
    const present: [Stage, () => boolean][] = [
      ["searching", () => within('[role="status"]', says("Searching documents…"))],
      ["sources", () => within('[aria-label="Sources"]', (list) => list.querySelector("li") !== null)],
      ["generating", () => within('[role="status"]', says("Generating response…"))],
      ["text", () => within('[data-part="text"]', (text) => text.textContent !== "")],
      ["details", () => within('[data-part="details"]', says("tokens"))],
    ];
    const look = () => {
      for (const [stage, isThere] of present) if (!seen.includes(stage) && isThere()) seen.push(stage);
    };
    new MutationObserver(look).observe(document, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
  });
}

/** The stages in order of first appearance. */
export async function firstSeen(page: Page): Promise<Stage[]> {
  return page.evaluate(() => (window as unknown as Watched).seenStages);
}
