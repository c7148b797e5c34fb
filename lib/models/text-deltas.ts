// Events of a provider's stream that bring text and nothing else, in the two shapes of OpenAI's APIs. What is not understood
// is no such event; nothing here judges it. Pure.

/** An event that brings text and nothing else: which text it goes on with, and how to say the same event with another text. */
export type TextDelta = { key: string; text: string; write(text: string): string };

/** How often the first events are looked at for what they have in common; some providers have something new in each. */
const mostLooks = 3;
/** Characters of an event that is looked at: to find a long text in it takes the square of its length. */
const longestLook = 2_000;
/** A text whose JSON is itself between quotes. */
const plain = /^[^"\\\p{Cc}]*$/u;

/** Of one answer. Where its events differ in their text only, they are read without making objects of them. */
export class TextDeltas {
  #known: { head: string; tail: string; delta: TextDelta } | null = null;
  #looks = 0;

  /** Null for an event that is anything else, or not understood. */
  read(event: string): TextDelta | null {
    const known = this.#known;
    if (known && event.startsWith(known.head) && event.endsWith(known.tail)) {
      const text = event.slice(known.head.length, -known.tail.length);
      if (event.length >= known.head.length + known.tail.length && plain.test(text)) return { ...known.delta, text };
    }
    const delta = textDelta(event);
    if (delta && event.length <= longestLook && this.#looks++ < mostLooks) this.#look(event, delta);
    return delta;
  }

  #look(event: string, delta: TextDelta): void {
    const { key, text } = delta;
    const at = event.lastIndexOf(`"${text}"`) + 1;
    if (at === 0) return;
    const [head, tail] = [event.slice(0, at), event.slice(at + text.length)];
    // The same words may stand elsewhere in the event.
    const without = textDelta(head + tail);
    if (without?.text === "" && without.key === key) this.#known = { head, tail, delta };
  }
}

/** Null for an event that is anything else, or not understood. */
function textDelta(event: string): TextDelta | null {
  if (event.startsWith(chatStart)) return chatDelta(event);
  return event.startsWith(responsesStart) ? responsesDelta(event) : null;
}

const chatStart = "data: {";
const responsesStart = "event: response.output_text.delta\ndata: {";

type ChatChunk = {
  id?: string;
  choices?: { index?: number; delta?: { content?: unknown }; finish_reason?: unknown; logprobs?: unknown }[];
  usage?: unknown;
};

function chatDelta(event: string): TextDelta | null {
  const chunk = parse<ChatChunk>(event.slice(chatStart.length - 1));
  const choice = chunk?.choices?.length === 1 ? chunk.choices[0] : undefined;
  const text = choice?.delta?.content;
  if (!chunk || !choice || typeof text !== "string") return null;
  if (choice.finish_reason || choice.logprobs || chunk.usage || Object.keys(choice.delta ?? {}).length > 1) return null;
  return {
    key: `${chunk.id} ${choice.index}`,
    text,
    write: (content) => `data: ${JSON.stringify({ ...chunk, choices: [{ ...choice, delta: { content } }] })}\n\n`,
  };
}

type ResponsesEvent = {
  item_id?: string;
  output_index?: number;
  content_index?: number;
  delta?: unknown;
  logprobs?: unknown[];
};

function responsesDelta(event: string): TextDelta | null {
  const parsed = parse<ResponsesEvent>(event.slice(responsesStart.length - 1));
  if (!parsed || typeof parsed.delta !== "string" || parsed.logprobs?.length) return null;
  const { item_id, output_index, content_index } = parsed;
  return {
    key: `${item_id} ${output_index} ${content_index}`,
    text: parsed.delta,
    write: (delta) => `${responsesStart.slice(0, -1)}${JSON.stringify({ ...parsed, delta })}\n\n`,
  };
}

/** Null for what is no JSON on one line: the SDK is the one to complain. */
function parse<T>(json: string): T | null {
  if (json.includes("\n")) return null;
  try {
    return JSON.parse(json) as T;
  } catch {
    return null;
  }
}
