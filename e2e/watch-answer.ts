// Everything the page showed of an answer: a MutationObserver reports each state to the test,
// across reloads and network failures, because the report does not use the network.
import { expect, type Page } from "playwright/test";

/** A state of the page. `load` counts documents, `nth` answers; `text` is the last answer's. */
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
   * At every moment each answer's text was a prefix of the script and never shrank, not even on a
   * reload; the page was the chat and showed no error.
   */
  expectNothingLostOrTwice(): void {
    const answered = this.#sights.filter(({ text }) => text !== "");
    expect(answered.length, "states of the page with text").toBeGreaterThan(0);
    expect(answered.filter(({ text }) => !this.#script.startsWith(text))).toEqual([]);
    const lost = this.#sights.filter(({ load, nth, text }, index) =>
      this.#sights
        .slice(0, index)
        // While a document loads it briefly has no answer yet.
        .some((seen) => seen.nth === nth && text.length < seen.text.length && (text !== "" || seen.load === load)),
    );
    expect(lost).toEqual([]);
    expect(this.#sights.filter(({ alert }) => alert !== "")).toEqual([]);
    expect(this.#sights.filter(({ composer }) => !composer)).toEqual([]);
  }
}

/**
 * Call when the chat is open, before asking; it watches the last answer. `script`: the provider's
 * text, plain words with single spaces, which Markdown leaves unchanged.
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
    // Nobody reads a half-loaded document.
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
