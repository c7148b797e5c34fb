// Client of the scripted provider's control endpoint for test workers (verbs and steps:
// test/provider.ts).
import type { ProviderRequest, Script } from "@/test/provider";

export type SeenRequest = Pick<ProviderRequest, "prompt" | "model" | "body" | "sent" | "closedBy">;

export class ScriptedProvider {
  /** Host and port, which no browser may ever see. */
  readonly host: string;
  readonly #origin: string;
  readonly #key: string;

  /** `key` is a word in every prompt of one test; it separates parallel tests. */
  constructor(baseUrl: string, key: string) {
    this.host = new URL(baseUrl).host;
    this.#origin = new URL(baseUrl).origin;
    this.#key = key;
  }

  /** Scripts for upcoming requests with the key in their prompt, in turn; the last one repeats. */
  async answers(...scripts: Script[]): Promise<void> {
    const own = scripts.map((script) =>
      script.map((step) => ("gate" in step ? { gate: `${this.#key} ${step.gate}` } : step)),
    );
    await this.#call("on", { name: this.#key }, own);
  }

  async open(gate: string): Promise<void> {
    await this.#call("open", { name: `${this.#key} ${gate}` });
  }

  async reached(gate: string): Promise<void> {
    await this.#call("reached", { name: `${this.#key} ${gate}` });
  }

  /** The test's n-th request, once its exchange has ended. */
  async closed(n = 1): Promise<SeenRequest> {
    return (await this.#call("closed", { name: this.#key, n: String(n) })) as SeenRequest;
  }

  /** Requests of this test so far. */
  async requests(): Promise<number> {
    return ((await this.#call("requests", { name: this.#key })) as { count: number }).count;
  }

  async #call(verb: string, query: Record<string, string>, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${this.#origin}/control/${verb}?${new URLSearchParams(query)}`, {
      method: "POST",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`/control/${verb} answered ${answer.status}`);
    return answer.json();
  }
}
