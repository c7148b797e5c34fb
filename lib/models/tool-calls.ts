// Normalises tool calls of a Chat Completions stream: each gets an index, an id and a name. Servers
// omit any of these, give all calls the same index or id, or change a call's id with each piece.
// Linear in the pieces. Pure.
import { isObject, type JsonObject, numberOf, unreadable } from "./answer-events";
import { CallArguments } from "./call-arguments";

type Call = {
  id: string | null;
  /** Another call has this id. */
  repeatsId: boolean;
  place: number | undefined;
  /** Null until known: nothing of the call is forwarded before. */
  name: string | null;
  /** In the canonical stream, once the name is known. */
  index: number;
  /** Arguments received before the name. */
  waiting: string;
  extra: JsonObject | undefined;
  input: CallArguments;
};

type Piece = { id: string | null; place: number | undefined; name: string | null; text: string };

export class ToolCalls {
  readonly #byId = new Map<string, Call>();
  readonly #byPlace = new Map<number, Call>();
  readonly #named: Call[] = [];
  readonly #unnamed = new Set<Call>();
  #last: Call | undefined;

  /** Number of named calls. */
  get count(): number {
    return this.#named.length;
  }

  /** The canonical pieces of a delta's calls. */
  read(delta: JsonObject): JsonObject[] {
    const pieces: JsonObject[] = [];
    /** Calls started in this delta: a second name at the same index is another call. */
    const startedHere = new Set<Call>();
    for (const call of callsOf(delta)) {
      const piece = this.#piece(call, startedHere);
      if (piece) pieces.push(piece);
    }
    return pieces;
  }

  /** Returns held-back arguments. Throws for arguments without a name: their call would be lost. */
  end(): JsonObject[] {
    if ([...this.#unnamed].some(({ waiting }) => waiting !== "")) throw unreadable();
    return this.#named.flatMap((call) => {
      const text = call.input.end();
      return text === "" ? [] : [{ index: call.index, function: { arguments: text } }];
    });
  }

  #piece(delta: JsonObject, startedHere: Set<Call>): JsonObject | null {
    const piece = pieceOf(delta);
    const call = this.#find(piece, startedHere) ?? this.#begin(piece);
    this.#last = call;
    if (piece.name !== null) startedHere.add(call);
    if (isObject(delta.extra_content)) call.extra ??= delta.extra_content;
    const text = call.input.add(piece.text);
    if (call.name !== null) return text === "" ? null : { index: call.index, function: { arguments: text } };
    call.waiting += text;
    if (piece.name === null) return null;
    call.name = piece.name;
    this.#unnamed.delete(call);
    call.index = this.#named.push(call) - 1;
    return {
      index: call.index,
      // Not unique beyond this answer (uniqueIds in lib/turn/steps.ts).
      id: call.repeatsId ? `${call.id}_${call.index}` : (call.id ?? `call_${call.index}`),
      type: "function",
      function: { name: call.name, arguments: call.waiting },
      ...(call.extra && { extra_content: call.extra }),
    };
  }

  /** The call this piece belongs to; undefined for a new one. */
  #find(piece: Piece, startedHere: Set<Call>): Call | undefined {
    const { id, place, name } = piece;
    let call = id === null ? undefined : this.#byId.get(id);
    // Several calls share one id.
    if (call && place !== undefined && call.place !== undefined && call.place !== place)
      call = this.#byPlace.get(place);
    else if (!call && place !== undefined) call = this.#byPlace.get(place);
    if (!call && place === undefined && (id === null || name === null)) call = this.#last;
    return call && isAnother(call, piece, startedHere) ? undefined : call;
  }

  #begin({ id, place }: Piece): Call {
    const input = new CallArguments();
    const repeatsId = id !== null && this.#byId.has(id);
    const call: Call = { id, repeatsId, place, name: null, index: -1, waiting: "", extra: undefined, input };
    this.#unnamed.add(call);
    if (id !== null && !repeatsId) this.#byId.set(id, call);
    if (place !== undefined) this.#byPlace.set(place, call);
    return call;
  }
}

/** Only a name starts another call at a known index. */
function isAnother(call: Call, { id, name, text }: Piece, startedHere: Set<Call>): boolean {
  if (name === null || call.name === null) return false;
  if (startedHere.has(call)) return true;
  const opens = text.trimStart().startsWith("{");
  // Some servers invent a new id for each piece.
  if (id !== null && call.id !== null && id !== call.id) return opens || call.input.empty || call.input.complete;
  if (id !== null && id === call.id) return false;
  return name !== call.name || (call.input.complete && text !== "" && !call.input.repeats(text));
}

function pieceOf(call: JsonObject): Piece {
  const delta = isObject(call.function) ? call.function : call;
  const input = delta.arguments ?? delta.input ?? delta.parameters;
  return {
    id: call.id === undefined || call.id === null || call.id === "" ? null : String(call.id),
    place: numberOf(call.index),
    name: typeof delta.name === "string" && delta.name.trim() !== "" ? delta.name : null,
    text: typeof input === "string" ? input : input === undefined || input === null ? "" : JSON.stringify(input),
  };
}

function callsOf({ tool_calls: calls, function_call: call }: JsonObject): JsonObject[] {
  const list = Array.isArray(calls)
    ? calls
    : isObject(calls)
      ? "function" in calls
        ? [calls]
        : Object.values(calls)
      : [];
  return [...list, ...(isObject(call) ? [{ index: 0, function: call }] : [])].filter(isObject);
}
