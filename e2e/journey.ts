// Fixtures for every journey: server URLs, a scripted provider per test, and the chat page by its
// accessible names. Specs import `test` and `expect` from here.
import { type BrowserContext, test as base, expect, type Locator, type Page } from "playwright/test";
import { ScriptedProvider } from "./scripted-provider.ts";

export { expect };

/** A value from the global setup. */
export function fromSetup(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; the global setup sets it`);
  return value;
}

export const test = base.extend<{
  provider: ScriptedProvider;
  /** A word in all prompts of this test, by which the provider recognizes it. */
  key: string;
  chat: ChatPage;
  /** A second server on the same database, with only the model `local`. It shares sessions. */
  localUrl: string;
}>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameter's pattern.
  baseURL: async ({}, use) => use(fromSetup("E2E_URL")),
  // biome-ignore lint/correctness/noEmptyPattern: as above.
  localUrl: async ({}, use) => use(fromSetup("E2E_LOCAL_URL")),
  // biome-ignore lint/correctness/noEmptyPattern: as above.
  key: async ({}, use, info) => use(`key${info.testId.replaceAll("-", "")}`),
  provider: async ({ key }, use) => use(new ScriptedProvider(fromSetup("E2E_PROVIDER_URL"), key)),
  chat: async ({ page }, use) => use(new ChatPage(page)),
});

export class ChatPage {
  readonly page: Page;
  readonly composer: Locator;
  /** The questions an empty chat offers. */
  readonly suggestions: Locator;
  /** All answers; `answer` is the last one. */
  readonly answers: Locator;
  readonly answer: Locator;
  /** The text of the last answer. */
  readonly text: Locator;
  readonly details: Locator;
  readonly sources: Locator;
  readonly chats: Locator;
  /** Below an answer that broke off. */
  readonly continue: Locator;
  /** Empty unless the answer's stream is disconnected. */
  readonly connection: Locator;
  /** Empty unless a proxy buffers. */
  readonly buffering: Locator;

  constructor(page: Page) {
    this.page = page;
    this.composer = page.getByRole("textbox", { name: "Message" });
    const log = page.getByRole("log", { name: "Conversation" });
    this.suggestions = log.getByRole("listitem").getByRole("button");
    this.answers = log.getByRole("article", { name: "Answer" });
    this.answer = this.answers.last();
    this.text = this.answer.locator('[data-part="text"]');
    this.details = this.answer.locator('[data-part="details"]');
    this.sources = this.answer.getByRole("list", { name: "Sources" });
    this.chats = page.getByRole("navigation", { name: "Chats" });
    this.continue = this.answer.getByRole("button", { name: "Continue" });
    this.connection = page.getByRole("status", { name: "Connection" });
    this.buffering = page.getByRole("status", { name: "Buffering" });
  }

  async signInAsGuest(url = "/"): Promise<void> {
    await this.page.goto(url);
    await expect(this.page).toHaveURL(/\/sign-in/);
    await this.page.getByRole("button", { name: "Continue as guest" }).click();
    await expect(this.composer).toBeVisible();
  }

  async newChat(): Promise<void> {
    await this.chats.getByRole("link", { name: "New chat" }).click();
    await expect(this.page).toHaveURL("/");
    await expect(this.answers).toHaveCount(0);
  }

  async ask(question: string): Promise<void> {
    await this.composer.fill(question);
    await this.composer.press("Enter");
    await expect(this.page.getByRole("article", { name: "Your message" }).last()).toContainText(question);
  }

  async expectStatus(status: "running" | "complete" | "stopped" | "failed" | "interrupted"): Promise<void> {
    await expect(this.answer).toHaveAttribute("data-status", status);
  }

  /** The chat's id, from the URL that the first message sets. */
  async chatId(): Promise<string> {
    await expect(this.page).toHaveURL(/\/chat\/[\w-]{8,64}$/);
    return new URL(this.page.url()).pathname.slice("/chat/".length);
  }
}

/** Collects every URL outside `origin` that the pages of this context request from now on. */
export function foreignRequests(context: BrowserContext, origin: string): string[] {
  const foreign: string[] = [];
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== origin) foreign.push(request.url());
  });
  return foreign;
}
