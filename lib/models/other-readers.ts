// Streams of providers read by their own package: events pass unchanged. Only the end of an answer
// is recognised, so that a later connection fault does not spoil it. Pure.
import {
  type EventReader,
  type Item,
  isObject,
  type JsonObject,
  objectOf,
  type ProviderEvent,
  reportedFailure,
  truncatedReason,
} from "./answer-events";
import { usageGraceMs } from "./chat-reader";
import { failureIn } from "./failure-shapes";

/** Last events of Anthropic's API and the Responses API. */
const lastEvents = new Set(["message_stop", "response.completed", "response.incomplete", "response.failed"]);

/** Any API. */
export class OtherReader implements EventReader {
  readonly settled = false;
  readonly graceMs = 0;
  readonly thinking = false;

  read(event: ProviderEvent): Item[] {
    if (event.data === "[DONE]") return [{ type: "end" }];
    const items = [frameOf(event)];
    return lastEvents.has(event.name ?? "") ? [...items, { type: "end" }] : items;
  }

  finish(): Item[] {
    return [];
  }

  readJson(): null {
    return null;
  }
}

/** Chat Completions as extended by a provider: fields only its own package knows must stay. */
export class OwnChatReader implements EventReader {
  readonly thinking = false;
  readonly graceMs = usageGraceMs;
  readonly #url: string;
  #settled = false;

  /** `url` appears in failures. */
  constructor(url: string) {
    this.#url = url;
  }

  get settled(): boolean {
    return this.#settled;
  }

  read(event: ProviderEvent): Item[] {
    if (event.data.trim() === "[DONE]") return [{ type: "end" }];
    const chunk = this.#chunkOf(event.data);
    if (!chunk) return [];
    const failure = failureIn(chunk, event.name);
    if (failure) return this.#settled ? [] : [{ type: "failure", error: reportedFailure(failure, this.#url) }];
    const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
    if (choices.some((choice) => isObject(choice) && choice.finish_reason)) this.#settled = true;
    return [frameOf({ name: undefined, data: event.data })];
  }

  finish(failed: boolean): Item[] {
    if (this.#settled) return [{ type: "end" }];
    if (failed) return [];
    const broken = { choices: [{ index: 0, delta: {}, finish_reason: truncatedReason }] };
    return [frameOf({ name: undefined, data: JSON.stringify(broken) })];
  }

  readJson(body: unknown): Item[] | null {
    if (!isObject(body)) return null;
    const failure = failureIn(body);
    return failure ? [{ type: "failure", error: reportedFailure(failure, this.#url) }] : null;
  }

  /** After the finish reason nothing can spoil the answer. */
  #chunkOf(data: string): JsonObject | null {
    try {
      return objectOf(data);
    } catch (error) {
      if (this.#settled) return null;
      throw error;
    }
  }
}

function frameOf({ name, data }: ProviderEvent): Item {
  const lines = data.split("\n").map((line) => `data: ${line}\n`);
  return { type: "frame", frame: `${name === undefined ? "" : `event: ${name}\n`}${lines.join("")}\n` };
}
