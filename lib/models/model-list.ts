// One server's model list, fetched in the background and cached. A failed fetch keeps the previous
// list.
import { APICallError } from "ai";
import { logger } from "@/lib/logger";
import type { Abilities } from "./abilities";
import type { ProviderModel } from "./providers/provider";

/** A list is small; a slower server is busy or gone. */
const answerWithinMs = 10_000;
/** More than anyone chooses from. */
const maxModels = 1_000;

export type ListOptions = {
  /** Server name for messages: "The server at OLLAMA_BASE_URL". */
  server: string;
  list(signal: AbortSignal): Promise<ProviderModel[]>;
  /** Called when the list has changed. */
  onChange(): void;
  withinMs?: number;
};

export class ModelList {
  readonly #options: ListOptions;
  #models: Map<string, Abilities> | null = null;
  #problem: string | null = null;
  #askedMs = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | null = null;

  constructor(options: ListOptions) {
    this.#options = options;
  }

  /** The last list, in the server's order, by name; null if there never was one. */
  get models(): Map<string, Abilities> | null {
    return this.#models;
  }

  /** Why there is no list. */
  get reason(): string {
    const { server } = this.#options;
    return `${server} ${this.#problem ?? "has not listed its models yet"}.`;
  }

  /**
   * Resolves when the server has answered or failed; immediately if asked less than `maxAgeMs` ago.
   * Never rejects.
   */
  refresh(maxAgeMs: number): Promise<void> {
    if (this.#refreshing) return this.#refreshing;
    if (performance.now() - this.#askedMs < maxAgeMs) return Promise.resolve();
    this.#askedMs = performance.now();
    this.#refreshing = this.#ask().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #ask(): Promise<void> {
    const { server, list, onChange, withinMs = answerWithinMs } = this.#options;
    try {
      const models = (await list(AbortSignal.timeout(withinMs))).slice(0, maxModels);
      this.#problem = models.length === 0 ? "lists no chat model" : null;
      if (models.length > 0) this.#models = new Map(models.map(({ name, abilities }) => [name, abilities]));
    } catch (error) {
      const problem = problemOf(error);
      if (problem !== this.#problem) logger.warn({ server, problem }, "a model server's list of models cannot be read");
      this.#problem = problem;
    }
    onChange();
  }
}

/** Quotes nothing the server said. */
function problemOf(error: unknown): string {
  if (APICallError.isInstance(error)) return `answered its list of models with status ${error.statusCode}`;
  if (error instanceof DOMException && error.name === "TimeoutError") return "took too long to list its models";
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  if (error instanceof TypeError) return `is not reachable${typeof cause?.code === "string" ? ` (${cause.code})` : ""}`;
  return "sent a list of models that cannot be read";
}
