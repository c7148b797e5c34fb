// Collects token log probabilities from an answer's chunks, for clients that requested them. Pure.
import { isObject, type JsonObject } from "./answer-events";

/** Field of a canonical delta. */
export const logprobsField = "rivulet_logprobs";

/**
 * Characters of JSON: about the first 2,000 tokens with 20 alternatives each. Stored with the
 * answer.
 */
const maxCharacters = 2 * 1_048_576;

export class Logprobs {
  readonly content: unknown[] = [];
  #characters = 0;

  read({ logprobs }: JsonObject): void {
    if (!isObject(logprobs) || !Array.isArray(logprobs.content)) return;
    for (const token of logprobs.content) {
      this.#characters += JSON.stringify(token).length;
      if (this.#characters > maxCharacters) return;
      this.content.push(token);
    }
  }
}
