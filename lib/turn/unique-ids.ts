// Ids of parts and tool calls that are unique within a turn, whatever the provider sends. Pure.
import type { ModelMessage } from "ai";
import type { ModelPart } from "./step-transcript";

const callKind = "tool-";

/**
 * Provider text ids are unique within one call only, so later duplicates are renamed. The same goes
 * for tool call ids on servers that restart their count per answer: ids must be unique in a message
 * and its history.
 */
export function uniqueIds(usedIds: Set<string>, step: number): (part: ModelPart) => ModelPart {
  const renamed = new Map<string, string>();
  /** Parts of this call seen per id. */
  const repeats = new Map<string, number>();
  function callId(id: string): string {
    const known = renamed.get(callKind + id);
    if (known !== undefined) return known;
    let fresh = id;
    for (let count = 2; usedIds.has(callKind + fresh); count++) fresh = `${id}-${count}`;
    usedIds.add(callKind + fresh);
    renamed.set(callKind + id, fresh);
    return fresh;
  }
  return (part) => {
    if (part.type.startsWith("tool-")) return withCallId(part, callId);
    const kind = /^(text|reasoning)-/.exec(part.type)?.[0];
    if (!kind || !("id" in part)) return part;
    const key = kind + part.id;
    if (part.type.endsWith("-start")) {
      const repeat = (repeats.get(key) ?? 0) + 1;
      repeats.set(key, repeat);
      let fresh = repeat === 1 ? part.id : `${part.id}-${step}-${repeat}`;
      while (usedIds.has(kind + fresh)) fresh += `-${step}`;
      usedIds.add(kind + fresh);
      renamed.set(key, fresh);
    }
    const id = renamed.get(key) ?? part.id;
    return id === part.id ? part : ({ ...part, id } as ModelPart);
  };
}

function withCallId(part: ModelPart, unique: (id: string) => string): ModelPart {
  const field = "toolCallId" in part ? "toolCallId" : "id";
  const id = (part as { [field]?: unknown })[field];
  if (typeof id !== "string" || unique(id) === id) return part;
  return { ...part, [field]: unique(id) } as ModelPart;
}

export function callIdsOf(messages: ModelMessage[]): string[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string"
      ? []
      : content.flatMap((part) => (part.type === "tool-call" ? [callKind + part.toolCallId] : [])),
  );
}
