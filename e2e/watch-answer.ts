// What a person saw of an answer, at every moment: a MutationObserver in the page reports each state it was in to the
// test, through reloads and lost networks, because the report does not go over the network.
import { expect, type Page } from "playwright/test";

/** One state of the page. `load` counts its documents, `nth` the answers in it; `text` is that of the last one. */
type Sight = {
  load: number;
  nth: number;
  text: string;
  status: string | null;
  connection: string;
  alert: string;
  composer: boolean;
};

export class WatchedAnswer {
  readonly #script: string;
  readonly #sights: Sight[];

  constructor(script: string, sights: Sight[]) {
    this.#script = script;
    this.#sights = sights;
  }

  /**
   * At every moment the text of each answer was a beginning of the script and never became shorter, also not by a reload;
   * the page was the chat and no error was shown on it.
   */
  expectNothingLostOrTwice(): void {
    const answered = this.#sights.filter(({ text }) => text !== "");
    expect(answered.length, "states of the page with text").toBeGreaterThan(0);
    expect(answered.filter(({ text }) => !this.#script.startsWith(text))).toEqual([]);
    const lost = this.#sights.filter(({ load, nth, text }, index) =>
      this.#sights
        .slice(0, index)
        // For a moment a document that is being made has no answer yet.
        .some((seen) => seen.nth === nth && text.length < seen.text.length && (text !== "" || seen.load === load)),
    );
    expect(lost).toEqual([]);
    expect(this.#sights.filter(({ alert }) => alert !== "")).toEqual([]);
    expect(this.#sights.filter(({ composer }) => !composer)).toEqual([]);
  }
}

/**
 * Call it when the chat is on the page and before the question; it watches the last answer. `script`: what the provider
 * says, plain words with one space between them, for Markdown changes nothing there.
 */
export async function watchAnswer(page: Page, script: string): Promise<WatchedAnswer> {
  const sights: Sight[] = [];
  let load = 0;
  await page.exposeFunction("tellTest", (sight: Omit<Sight, "load">, first: boolean) => {
    if (first) load += 1;
    sights.push({ ...sight, load });
  });
  await page.addInitScript(watch);
  await page.evaluate(watch);
  return new WatchedAnswer(script, sights);
}

/** Runs in the page. */
function watch(): void {
  const { tellTest } = window as unknown as {
    tellTest(sight: Omit<Sight, "load">, first: boolean): Promise<void>;
  };
  const words = (element: Element | null | undefined) => (element?.textContent ?? "").replace(/\s+/g, " ").trim();
  let last = "";
  const look = () => {
    // Half a document is nothing that anybody reads.
    if (document.readyState === "loading") return;
    const answers = [...document.querySelectorAll('article[aria-label="Answer"]')];
    const answer = answers.at(-1);
    const sight = {
      nth: answers.length,
      text: [...(answer?.querySelectorAll('[data-part="text"]') ?? [])].map(words).join(" "),
      status: answer?.getAttribute("data-status") ?? null,
      connection: words(document.querySelector('[role="status"][aria-label="Connection"]')),
      alert: words(document.querySelector('[role="alert"]')),
      composer: document.querySelector('textarea[aria-label="Message"]') !== null,
    };
    const state = JSON.stringify(sight);
    if (state === last) return;
    void tellTest(sight, last === "");
    last = state;
  };
  new MutationObserver(look).observe(document, {
    subtree: true,
    childList: true,
    characterData: true,
    attributes: true,
  });
  document.addEventListener("DOMContentLoaded", look);
}
