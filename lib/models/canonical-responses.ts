// Shapes parts of the Responses API from imitators to fit the adapter's closed schemas. Pure.
import { isObject, type JsonObject, numberOf } from "./answer-events";

/** Strips what the schemas might refuse and nothing here needs. */
export function plainItem({ phase, encrypted_content: sealed, ...item }: JsonObject): JsonObject {
  return {
    ...item,
    ...((phase === "commentary" || phase === "final_answer") && { phase }),
    ...(typeof sealed === "string" && { encrypted_content: sealed }),
  };
}

type Known = { id: string; type: string; call: { id: string; name: string; input: string } };

/** A finished item, completed with what was already known. */
export function doneItem(reported: JsonObject, { id, type, call }: Known): JsonObject {
  if (type !== "function_call") return { ...plainItem(reported), id, type };
  const { arguments: input } = reported;
  const text = typeof input === "string" ? input : input === undefined || input === null ? "" : JSON.stringify(input);
  const name = call.name || String(reported.name ?? "");
  return { id, type, call_id: call.id, name, arguments: text || call.input, status: "completed" };
}

/** Other events of the API; null for an unreadable one that is not missed. */
export function filledEvent(type: string, event: JsonObject): JsonObject | null {
  if (type === "response.output_text.annotation.added") {
    const annotation = annotationOf(event.annotation);
    return annotation && { type, annotation };
  }
  if (!type.startsWith("response.reasoning_summary_")) return { ...event, type };
  if (typeof event.item_id !== "string") return null;
  return { ...event, type, summary_index: numberOf(event.summary_index) ?? 0 };
}

/** A cited page; other annotations name files that nobody here can open. */
function annotationOf(value: unknown): JsonObject | null {
  if (!isObject(value)) return null;
  const { url, title } = isObject(value.url_citation) ? value.url_citation : value;
  if (typeof url !== "string" || !URL.canParse(url)) return null;
  const { start_index: start, end_index: end } = value;
  const places = { start_index: numberOf(start) ?? 0, end_index: numberOf(end) ?? 0 };
  return { type: "url_citation", ...places, url, title: typeof title === "string" ? title : "" };
}

/** What the adapter reads at the end of an answer. */
export function plainResponse({ usage, incomplete_details: details, service_tier: tier }: JsonObject): JsonObject {
  return {
    ...(isObject(usage) && { usage: usageOf(usage) }),
    ...(isObject(details) && typeof details.reason === "string" && { incomplete_details: details }),
    ...(typeof tier === "string" && { service_tier: tier }),
  };
}

function usageOf(usage: JsonObject): JsonObject {
  return {
    input_tokens: numberOf(usage.input_tokens ?? usage.prompt_tokens) ?? 0,
    output_tokens: numberOf(usage.output_tokens ?? usage.completion_tokens) ?? 0,
    total_tokens: numberOf(usage.total_tokens),
    input_tokens_details: countsOf(usage.input_tokens_details),
    output_tokens_details: countsOf(usage.output_tokens_details),
  };
}

function countsOf(details: unknown): JsonObject | undefined {
  if (!isObject(details)) return undefined;
  return Object.fromEntries(Object.entries(details).map(([name, count]) => [name, numberOf(count)]));
}
