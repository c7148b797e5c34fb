// OpenAI's legacy Completions, used by editors for code completion (docs/protocol.md §6.6): a
// prompt to continue and an optional suffix. Routes of dialect `openai`. Pure.
import { z } from "zod";
import { ChunkState } from "@/lib/turn/chunk-state";
import type { MessageMetadata } from "@/lib/turn/chunks";
import { interruptedError } from "@/lib/turn/ending";
import type { TurnAnswer, TurnContext } from "@/lib/turn/turn-context";
import { modelName } from "@/lib/turn/turn-options";
import type { DialectFrame, Encode, ParsedRequest } from "./dialect";
import { contentOf, endOf, frame } from "./frames";
import { showError, turnFailure } from "./openai-errors";
import { settingFields, settingsOf, withoutNulls } from "./openai-fields";
import { usage } from "./openai-shapes";
import { completionUsage } from "./openai-usage";

const text = z.string().min(1, "must not be empty");
const one = (what: string) => z.literal(1, { error: `one ${what} at a time: must be 1` }).nullish();
const absent = (error: string) => z.null({ error }).optional();

export const textBody = z.strictObject({
  model: modelName.optional(),
  prompt: z.union([text, z.tuple([text]).transform(([only]) => only)], {
    error: "must be one text; several prompts and tokens are not taken",
  }),
  suffix: z.string().nullish().describe("Text that follows the answer. Only if the model's server supports it."),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: one("answer"),
  best_of: one("answer"),
  echo: z.literal(false, { error: "is not done here: must be false" }).nullish(),
  logprobs: absent("is not answered here"),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/, "must be the number of a token"), z.number()).nullish(),
  user: z.string().max(2_000).nullish(),
  ...settingFields,
  max_completion_tokens: absent("is not supported here: send max_tokens"),
});
type Body = z.output<typeof textBody>;

const shape = {
  id: z.string(),
  object: z.literal("text_completion"),
  created: z.int().describe("Seconds since 1970."),
  model: z.string(),
  choices: z.array(
    z.object({
      text: z.string(),
      index: z.literal(0),
      logprobs: z.null(),
      finish_reason: z.enum(["stop", "length", "content_filter"]).nullable(),
    }),
  ),
};
export const textChunk = z.object({ ...shape, usage: usage.optional() });
export const textAnswer = z.object({ ...shape, usage });

export function parseTextRequest(body: unknown): ParsedRequest {
  const { model, prompt, suffix, stream, stream_options: options, user, logit_bias, ...request } = body as Body;
  return {
    stream: stream ?? false,
    stopsWithClient: true,
    request: {
      trigger: "answer-prompt",
      prompt: {
        messages: [{ role: "user", parts: [{ type: "text", text: prompt }] }],
        instructions: "",
        settings: settingsOf(request),
        fields: withoutNulls({ user, logit_bias }),
        completes: { prompt, ...(suffix && { suffix }) },
      },
      model,
      searchMode: "none",
      view: { includeUsage: options?.include_usage ?? false, completes: true },
    },
  };
}

export function textEncoder(context: TurnContext): Encode {
  const state = new ChunkState();
  const { includeUsage } = context.view;
  const head = identity(context);
  const choice = (text: string, finish: string | null = null) =>
    frame({ ...head, choices: [choiceOf(text, finish)], ...(includeUsage && { usage: null }) });
  return ({ chunk }) => {
    const added = state.apply(chunk);
    if (added) return [choice(added)];
    const end = endOf(chunk);
    if (!end) return [];
    if (end === "failed") return [frame({ error: showError(turnFailure(state.error ?? interruptedError)) })];
    const frames: DialectFrame[] = [choice("", finishOf(state.metadata))];
    if (includeUsage) frames.push(frame({ ...head, choices: [], usage: completionUsage(state.metadata) }));
    return frames;
  };
}

export function fullTextResponse({ context, message, metadata }: TurnAnswer): object {
  const choices = [choiceOf(contentOf(message), finishOf(metadata))];
  return { ...identity(context), choices, usage: completionUsage(metadata) };
}

function identity({ turnId, createdAt, model }: TurnContext) {
  const created = Math.floor(Date.parse(createdAt) / 1_000);
  return { id: `cmpl-${turnId}`, object: "text_completion", created, model };
}

function choiceOf(text: string, finish: string | null) {
  return { text, index: 0, logprobs: null, finish_reason: finish };
}

function finishOf({ finishReason }: Partial<MessageMetadata>): string {
  return finishReason === "length" ? "length" : finishReason === "content-filter" ? "content_filter" : "stop";
}
