import { Consent, hasUntrustedText, resolveApprovals } from "./approval";
import { ChunkState } from "./chunk-state";
import { type MessageMetadata, type Source, sourceChunk, type TurnChunk, type TurnError } from "./chunks";
import { ContextWindow } from "./context-window";
import { closeTexts, type Ending, endTurn, interruptedError } from "./ending";
import { foldChunks } from "./fold";
import { concatText, isAnswerContent, opening, openTextOf, PrefixJoiner } from "./log-prefix";
import { generateStatus, isWaiting, ReasoningTimes } from "./model-status";
import type { Halt, RunInput, RunPorts } from "./run-input";
import { modelSteps, StepsEnd } from "./steps";
import { ReplayFilter, upstreamOf } from "./upstream";
import { priced } from "./usage";

/**
 * Yields every chunk of the turn in order, the terminal last. Never throws: a failure becomes an
 * `error` terminal. When `signal` aborts with a `Halt`, the model request is aborted and the turn
 * ends immediately with the halt's status, keeping everything yielded so far. A tool or search that
 * ignores the abort is abandoned.
 */
export async function* runTurn(input: RunInput, ports: RunPorts, signal: AbortSignal): AsyncGenerator<TurnChunk> {
  const startMs = ports.nowMs();
  const { logPrefix = [] } = input;
  const state = new ChunkState(logPrefix);
  const progress: Progress = {
    metadata: { searchMode: input.searchMode },
    text: concatText(logPrefix),
    sources: [...state.sources],
    startMs,
  };
  let ending: Omit<Ending, "turnId" | "metadata">;
  const source = runStages(input, ports, signal, progress, state);
  /** Wakes the loop that waits for the next chunk. */
  let interrupt: (next: Next | null) => void = () => {};
  const onAbort = () => interrupt({ done: true, value: undefined });
  const reasonings = new ReasoningTimes();
  /** Pending status chunk. */
  let phase: TurnChunk | null = null;
  ports.onModelPhase((entered, forMs) => {
    const sinceMs = ports.nowMs() - forMs;
    reasonings.enter(entered, sinceMs);
    phase = generateStatus("active", entered, entered === "answering" ? undefined : sinceMs - startMs);
    interrupt(null);
  });
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    yield* opening(input).slice(logPrefix.length);
    let pendingRead: Promise<Next> | null = null;
    while (!signal.aborted) {
      pendingRead ??= source.next();
      const read = pendingRead;
      const next = await new Promise<Next | null>((resolve, reject) => {
        interrupt = resolve;
        read.then(resolve, reject);
      });
      // Reread through a cast: the listener sets it during the await, which TypeScript does not
      // see.
      const entered = phase as TurnChunk | null;
      phase = null;
      if (entered && !next?.done) {
        state.apply(entered);
        yield entered;
      }
      if (!next) continue;
      pendingRead = null;
      const { done, value: chunk } = next;
      if (done) break;
      // A truncated stream leaves a text open, yet the SDK still ends the step.
      const before = chunk.type === "finish-step" ? closeTexts(state) : [];
      for (const next of [...before, chunk]) {
        state.apply(next);
        yield next;
      }
      const durationChunk = reasonings.apply(chunk, ports.nowMs);
      if (durationChunk) yield durationChunk;
    }
    ending = signal.aborted ? haltReason(signal) : { status: "complete" };
  } catch (error) {
    if (signal.aborted) {
      ending = haltReason(signal);
    } else if (error instanceof EndedEarly) {
      ending = { status: "interrupted", error: interruptedError };
    } else {
      ports.report(error);
      const failure = error instanceof RetrievalFailed ? retrievalError : ports.classify(error);
      ending = { status: "failed", error: failure };
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not awaited: the generator may be blocked on something that never settles.
    source.return().catch(ports.report);
  }
  yield* endTurn(state, { ...ending, turnId: input.turnId, metadata: turnMetadata(progress, ports) });
}

type Next = IteratorResult<TurnChunk, void>;

type Progress = {
  metadata: Partial<MessageMetadata>;
  /** Kept only if there are sources to compare it with. */
  text: string;
  sources: Source[];
  startMs: number;
  firstTokenMs?: number;
  window?: ContextWindow;
};

/** The provider's stream ended without a finish reason. */
class EndedEarly extends Error {}

/** Distinguishes a database failure from a provider failure. */
class RetrievalFailed extends Error {}

const retrievalError: TurnError = {
  code: "storage",
  message: "Your documents could not be searched. Nothing was sent to the model; retry in a moment.",
  retryable: true,
};

async function* runStages(
  input: RunInput,
  ports: RunPorts,
  signal: AbortSignal,
  progress: Progress,
  state: ChunkState,
): AsyncGenerator<TurnChunk, void, void> {
  const retrieving = state.statuses.get("retrieve");
  const generating = state.statuses.get("generate");
  const isSearched = retrieving?.state === "done" || generating;
  if (input.searchMode !== "none" && !isSearched) yield* retrieve(input, ports, progress, retrieving !== undefined);
  if (signal.aborted) return;

  if (!generating || isWaiting(generating)) yield generateStatus("active");
  yield* generate(input, ports, signal, progress, state.stepOpen);
  // When halted, open parts must close first; `endTurn` does that.
  if (signal.aborted) return;
  yield generateStatus("done");
}

async function* retrieve(
  input: RunInput,
  ports: RunPorts,
  progress: Progress,
  retrieving: boolean,
): AsyncGenerator<TurnChunk> {
  if (!retrieving && (await orRetrievalFailed(ports.countDocuments())) === 0) return;
  const searching = { stage: "retrieve", label: "Searching documents…" } as const;
  if (!retrieving) yield { type: "data-status", id: "retrieve", data: { ...searching, state: "active" } };
  progress.sources = await orRetrievalFailed(ports.search(input.question));
  for (const source of progress.sources) yield sourceChunk(source);
  const detail = sourceCountText(progress.sources);
  yield { type: "data-status", id: "retrieve", data: { ...searching, state: "done", detail } };
}

async function orRetrievalFailed<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new RetrievalFailed("retrieval failed", { cause });
  }
}

async function* generate(
  input: RunInput,
  ports: RunPorts,
  signal: AbortSignal,
  progress: Progress,
  stepOpen: boolean,
): AsyncGenerator<TurnChunk> {
  const { question } = input;
  const { sources } = progress;
  const logged = input.logPrefix ?? [];
  const upstream = upstreamOf(logged);
  if (upstream && upstream.logged.length > 0 && !input.resumesUpstream) throw new EndedEarly();
  const resumed = input.resumesUpstream ? upstream : null;
  // Output that is reread is joined to what preceded it, as the first time.
  const before = resumed ? logged.slice(0, resumed.index) : logged;
  const hasContent = before.some(isAnswerContent);
  const openText = openTextOf(before);
  const joiner = new PrefixJoiner({ stepOpen, openText });
  const resolved: TurnChunk[] = [];
  // Settle the consent decisions on the calls of the answer being continued.
  for await (const chunk of resolveApprovals(hasContent ? (await foldChunks(before)).parts : [], input.tools, signal)) {
    resolved.push(chunk);
    yield chunk;
  }
  if (signal.aborted) return;
  const partialAnswer = hasContent ? (await foldChunks([...before, ...resolved])).parts : [];
  const untrusted = sources.length > 0 || hasUntrustedText([...input.history, { parts: partialAnswer }], input.tools);
  const end = new StepsEnd();
  const window = new ContextWindow(
    {
      history: input.history,
      historyIsCut: input.historyIsCut ?? false,
      partialAnswer,
      sources,
      // Random bytes cost a system call, and without sources nothing is fenced.
      fenceCode: sources.length > 0 ? ports.fenceCode() : "",
      modelId: input.modelId,
      instructions: input.instructions,
      tools: input.tools,
      maxOutputTokens: input.settings?.maxOutputTokens,
    },
    ports,
  );
  progress.window = window;
  const steps = modelSteps(
    {
      model: input.model,
      settings: input.settings,
      toolChoice: input.toolChoice,
      responseFormat: input.call?.responseFormat,
      reasoning: input.call?.reasoning,
      clientRunsTools: input.clientRunsTools,
      prompt: window,
      tools: input.tools,
      ...(resumed && { resume: resumed.mark }),
      consent: new Consent({ turnId: input.turnId, canAsk: input.canAsk ?? false, untrusted }),
      // Read by the local model and by middleware; providers ignore options under other names.
      providerOptions: {
        ...input.call?.providerOptions,
        rivulet: {
          question,
          turnId: input.turnId,
          ...(input.repeats === false && { repeats: false }),
          said: openText?.text ?? "",
          sources: sources.map(({ ordinal, title, text, metadata: { heading } }) => ({
            ordinal,
            title,
            text,
            ...(heading && { heading: String(heading) }),
          })),
        },
      },
    },
    end,
    signal,
  );
  const replayFilter = resumed && new ReplayFilter(resumed.logged);
  try {
    for await (const part of steps)
      for (const joined of joiner.done ? [part] : joiner.join(part)) {
        const chunk = replayFilter ? replayFilter.unseenPart(joined) : joined;
        if (!chunk) continue;
        if (chunk.type === "text-delta") {
          progress.firstTokenMs ??= ports.nowMs() - progress.startMs;
          if (sources.length > 0) progress.text += chunk.delta;
        }
        yield chunk;
      }
  } catch (error) {
    if (!replayFilter?.nothingNew || signal.aborted) throw error;
    // The reread produced nothing new: the provider no longer keeps the answer.
    ports.report(error);
    throw new EndedEarly();
  }
  if (signal.aborted) return;
  Object.assign(progress.metadata, end, { usage: priced(end.usage, input.price) });
  if (end.finishReason === "interrupted") throw new EndedEarly();
  if (end.finishReason === "error") throw new Error("The provider ended the answer with an error.");
}

function turnMetadata(progress: Progress, ports: RunPorts): Partial<MessageMetadata> {
  const durationMs = Math.round(ports.nowMs() - progress.startMs);
  const firstTokenMs = progress.firstTokenMs === undefined ? null : Math.round(progress.firstTokenMs);
  const outputTokens = progress.metadata.usage?.outputTokens;
  const streamedMs = firstTokenMs === null ? 0 : durationMs - firstTokenMs;
  const tokensPerSecond = outputTokens && streamedMs > 0 ? Math.round((outputTokens * 10_000) / streamedMs) / 10 : null;
  const support = progress.sources.length > 0 && progress.text ? ports.ground(progress.text, progress.sources) : null;
  return {
    ...progress.metadata,
    timing: { firstTokenMs, durationMs, tokensPerSecond },
    confidence: support?.confidence ?? null,
    groundedness: support?.groundedness ?? null,
    ...(progress.window?.memory && { memory: progress.window.memory }),
  };
}

function haltReason(signal: AbortSignal): Halt {
  return signal.reason as Halt;
}

function sourceCountText(sources: Source[]): string {
  const documents = new Set(sources.map((source) => source.documentId)).size;
  const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;
  return sources.length === 0
    ? "Nothing found"
    : `${plural(sources.length, "source")} from ${plural(documents, "document")}`;
}
