// The scripted provider's control door, seen from a test worker (test/provider.ts has the verbs and the steps).
import type { ProviderRequest, Script } from "@/test/provider";

export type SeenRequest = Pick<ProviderRequest, "prompt" | "model" | "body" | "sent" | "closedBy">;

export class ScriptedProvider {
  /** Host and port: what must never be seen by a browser. */
  readonly host: string;
  readonly #origin: string;
  readonly #key: string;

  /** `key` is a word of every prompt of one test; it keeps the scripts and gates of parallel tests apart. */
  constructor(baseUrl: string, key: string) {
    this.host = new URL(baseUrl).host;
    this.#origin = new URL(baseUrl).origin;
    this.#key = key;
  }

  /** The scripts of the requests to come whose prompt has the key, one after the other; the last one repeats. */
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

  /** The n-th request of this test, once its exchange is over. */
  async closed(n = 1): Promise<SeenRequest> {
    return (await this.#call("closed", { name: this.#key, n: String(n) })) as SeenRequest;
  }

  /** How many requests this test has made so far. */
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
