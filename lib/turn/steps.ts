// Runs model calls until the model calls no more tools, and yields chunks (docs/protocol.md §4,
// §8). The AI SDK makes and reads each call. Its `streamText` runs the same loop through eight more
// streams, which were half the cost of a text and of an open turn (docs/performance.md).
import {
  type FinishReason,
  type JSONValue,
  type LanguageModel,
  type ModelMessage,
  experimental_streamLanguageModelCall as streamLanguageModelCall,
  toUIMessageChunk,
  wrapLanguageModel,
} from "ai";
import type { Consent } from "./approval";
import type { TurnChunk, UpstreamMark, Usage } from "./chunks";
import { StateLimit } from "./provider-state";
import type { RunInput } from "./run-input";
import { type ModelPart, StepTranscript } from "./step-transcript";
import { runTool, type TurnTool, toolFailureText } from "./tool-result";
import { callIdsOf, uniqueIds } from "./unique-ids";
import { ResumableAnswer } from "./upstream";

/** The request for one model call. */
export type FittedCall = {
  messages: ModelMessage[];
  instructions?: string | undefined;
  maxOutputTokens?: number | undefined;
};

export type Prompt = {
  /**
   * Builds the next call; `stepMessages` holds the output and tool results of this turn's earlier
   * calls.
   */
  fit(stepMessages: ModelMessage[]): Promise<FittedCall>;
  /**
   * After a call that failed before its first word: true if `fit` now produces a smaller call worth
   * trying.
   */
  shrink(error: unknown): boolean;
};

export type StepsInput = Pick<RunInput, "model" | "tools" | "settings" | "toolChoice" | "clientRunsTools"> &
  NonNullable<RunInput["call"]> & {
    prompt: Prompt;
    /** Without it, every call runs. */
    consent?: Consent;
    /** Resume reading this response instead of making the first call. */
    resume?: UpstreamMark;
  };

type WrappedModel = Extract<LanguageModel, { specificationVersion: "v4" }>;

/** The provider's adapter does not support an option the client set. `setting` is its SDK name. */
export class UnsupportedSetting extends Error {
  readonly setting: string;

  constructor(setting: string) {
    super(`the provider's adapter leaves out ${setting}`);
    this.setting = setting;
  }
}

/**
 * Finish reason of the last call and total usage; `interrupted` until a call reports its reason.
 */
export class StepsEnd {
  finishReason: FinishReason = "interrupted";
  readonly usage: Usage = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
}

/** A task that needs more than ten model calls is going in circles. */
const maxSteps = 10;

/**
 * Yields the chunks of the model and its tools in order. Tools run sequentially in the model's
 * order, since a call may list what an earlier one added; a failed tool is data. Throws on a failed
 * call or an error in its stream; after `signal` aborts, the call in flight throws. `end` is
 * complete once all chunks are yielded.
 */
export async function* modelSteps(input: StepsInput, end: StepsEnd, signal: AbortSignal): AsyncGenerator<TurnChunk> {
  const { settings, tools, consent, prompt, toolChoice, responseFormat, clientRunsTools, resume, ...options } = input;
  const call = { ...options, model: withCallOptions(input) };
  const requested = requestedOptions(input);
  const ids = new Set<string>();
  const chunkOf = (part: ModelPart) =>
    toUIMessageChunk(part, { ...(tools && { tools }), sendSources: true, onError: toolFailureText }) as
      | TurnChunk
      | undefined;
  const stateLimit = new StateLimit();
  const earlier: ModelMessage[] = [];
  for (let step = 1; ; step++) {
    let transcript = new StepTranscript();
    const unique = uniqueIds(ids, step);
    const resumable = new ResumableAnswer(step === 1 ? resume : undefined);
    let messages: ModelMessage[] = [];
    let finishReason: FinishReason | undefined;
    let open = false;
    let hasOutput = false;
    for (let isComplete = false; !isComplete; ) {
      const fitted = await prompt.fit(earlier);
      messages = fitted.messages;
      for (const id of callIdsOf(messages)) ids.add(id);
      try {
        const { stream } = await streamLanguageModelCall({
          ...call,
          ...settings,
          ...fitted,
          ...(fitted.maxOutputTokens !== settings?.maxOutputTokens && {
            providerOptions: withInternalOptions(call, { cappedToFit: true }),
          }),
          ...(resumable.mark && { providerOptions: withInternalOptions(call, { resume: resumable.mark }) }),
          ...(tools && { tools }),
          // Client instructions keep their position; no other message is a system message.
          allowSystemInMessages: true,
          abortSignal: signal,
          // Otherwise the SDK keeps an unused second copy of the answer.
          _internal: { collectContent: false },
        });
        for await (const event of stream) {
          if (event.type === "model-call-start") {
            for (const warning of event.warnings)
              if (warning.type === "unsupported" && requested.has(warning.feature))
                throw new UnsupportedSetting(warning.feature);
            continue;
          }
          if (!open) yield { type: "start-step" };
          open = true;
          if (event.type === "error") throw event.error;
          if (event.type === "raw") {
            // The only raw part that lib/models emits.
            yield resumable.start(event.rawValue as UpstreamMark);
            continue;
          }
          if (event.type === "model-call-response-metadata" || (event.type === "text-delta" && event.text === ""))
            continue;
          if (event.type === "model-call-end") {
            finishReason = event.finishReason;
            end.usage.inputTokens += event.usage.inputTokens ?? 0;
            end.usage.outputTokens += event.usage.outputTokens ?? 0;
            end.usage.totalTokens = end.usage.inputTokens + end.usage.outputTokens;
            addDetails(end.usage, event.usage);
            const content = event.providerMetadata?.rivulet?.logprobs;
            if (Array.isArray(content) && content.length > 0)
              yield { type: "data-logprobs", id: `logprobs-${step}`, data: { content: content as JSONValue[] } };
            continue;
          }
          hasOutput = true;
          const visible = clientRunsTools ? forClient(event as ModelPart) : (event as ModelPart);
          if (!visible) continue;
          const part = stateLimit.apply(unique(visible));
          transcript.append(part);
          const chunk = chunkOf(part);
          const fresh = chunk && resumable.unseenPart(chunk);
          if (fresh) yield fresh;
        }
        isComplete = !isIncomplete(finishReason) || !resumable.prepareReread();
      } catch (error) {
        if (signal.aborted || !(resumable.prepareReread() || (!hasOutput && prompt.shrink(error)))) throw error;
      }
      // The next attempt may deliver the whole answer again.
      if (!isComplete) transcript = new StepTranscript();
    }
    const calls = finishReason === "stop" || finishReason === "tool-calls" ? transcript.unanswered : [];
    for (const toolCall of calls) {
      const tool = tools?.[toolCall.toolName] as TurnTool | undefined;
      const review = await consent?.review(toolCall, tool);
      if (review?.type === "tool-approval-request") {
        // The call stays unanswered, so the turn ends with this step.
        yield review as TurnChunk;
        continue;
      }
      const result = (review as ModelPart | null | undefined) ?? (await runTool(toolCall, tool, messages, signal));
      if (!result) continue;
      consent?.recordResult(tool);
      transcript.append(result);
      yield chunkOf(result) as TurnChunk;
    }
    if (open) yield { type: "finish-step" };
    end.finishReason = finishReason ?? "interrupted";
    if (isCutShort(end.finishReason) || !transcript.needsNextCall || step === maxSteps) return;
    // The cap applies to the whole answer, not to each call.
    if (settings?.maxOutputTokens !== undefined && end.usage.outputTokens >= settings.maxOutputTokens) {
      end.finishReason = "length";
      return;
    }
    earlier.push(...transcript.messages());
  }
}

/**
 * Wraps the model with options the SDK lacks: a response format, and a tool choice that the model
 * may ignore, which the SDK would report as a failure.
 */
function withCallOptions({ model, tools, toolChoice, responseFormat }: StepsInput): LanguageModel {
  const requested = tools && toolChoice;
  const choice = typeof requested === "string" ? { type: requested } : requested;
  if (!choice && !responseFormat) return model;
  return wrapLanguageModel({
    model: model as WrappedModel,
    middleware: {
      specificationVersion: "v4",
      transformParams: async ({ params }) => ({
        ...params,
        ...(choice && { toolChoice: choice }),
        ...(responseFormat && { responseFormat }),
      }),
    },
  });
}

/**
 * Options the client set, by SDK name. Excludes the output cap, which the server also sets and
 * which is never left out.
 */
function requestedOptions({ settings = {}, responseFormat, reasoning, providerOptions = {} }: StepsInput): Set<string> {
  const { maxOutputTokens: _, ...own } = settings;
  const { rivulet: __, ...provider } = providerOptions;
  const named = {
    ...own,
    responseFormat,
    reasoning,
    reasoningEffort: reasoning,
    ...Object.assign({}, ...Object.values(provider)),
  };
  return new Set(Object.keys(named).filter((name) => named[name as keyof typeof named] !== undefined));
}

/**
 * A call the SDK could not parse goes to the client unchanged; the SDK's error about it is dropped.
 */
function forClient(part: ModelPart): ModelPart | null {
  if (part.type === "tool-error") return null;
  return part.type === "tool-call" && part.invalid
    ? ({ ...part, invalid: false, dynamic: undefined, error: undefined } as ModelPart)
    : part;
}

type CallUsage = {
  inputTokenDetails?: { cacheReadTokens?: number };
  outputTokenDetails?: { reasoningTokens?: number };
};

function addDetails(usage: Usage, { inputTokenDetails, outputTokenDetails }: CallUsage): void {
  const cached = inputTokenDetails?.cacheReadTokens;
  const reasoning = outputTokenDetails?.reasoningTokens;
  if (cached) usage.cachedTokens = (usage.cachedTokens ?? 0) + cached;
  if (reasoning) usage.reasoningTokens = (usage.reasoningTokens ?? 0) + reasoning;
}

/**
 * Options for lib/models. `cappedToFit`: the cap is the server's, so it may be dropped if a
 * provider refuses it (repairs.ts). `resume`: see background.ts.
 */
function withInternalOptions(
  { providerOptions }: Pick<StepsInput, "providerOptions">,
  extra: { cappedToFit: true } | { resume: UpstreamMark },
): StepsInput["providerOptions"] {
  return { ...providerOptions, rivulet: { ...providerOptions?.rivulet, ...extra } };
}

/** The model was cut off: a call truncated with it is not a mistake the model could fix. */
function isCutShort(reason: FinishReason): boolean {
  return reason === "interrupted" || reason === "length" || reason === "content-filter";
}

/** The stream ended, or broke, before the model had. */
function isIncomplete(reason: FinishReason | undefined): boolean {
  return reason === undefined || reason === "interrupted";
}
