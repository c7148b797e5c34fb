// The client owns its history: a send goes where the client's own messages place it, so edits,
// regenerated answers and branches become siblings, and what the client removed is not in the
// branch (docs/protocol.md §5, decision 0043).
import { createHash } from "node:crypto";
import { v5 as uuidv5 } from "uuid";
import { z } from "zod";
import { type KnownText, listNamed, listTexts, type StoredIdentity } from "@/db/client-history";
import { findMessage, type NewMessage } from "@/db/messages";
import type { ChatMessage } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";
import type { ClientMessage } from "@/lib/turn/turn-input";
import { clientId } from "@/lib/turn/turn-options";

type Item = { id?: string; role: "user" | "assistant"; parts: ChatMessage["parts"]; text: string };

/** A client's message and its place in the tree. */
type PathEntry = { name?: string; id: string; role: "user" | "assistant" };

export type HistoryPosition = {
  /** Messages before the question that only the client has, oldest first. */
  unknown: (Pick<ChatMessage, "id" | "parts"> & Pick<NewMessage, "parentId" | "role">)[];
  /** The stored id; differs from the client's if another message has that id. */
  question: { id: string; parentId: string | null; stored: boolean };
  /** The client's messages, the question last. */
  path: PathEntry[];
};

/** More than fits any model's context. */
const maxBefore = 1_000;
/** For clients that send no ids. */
const maxTexts = 1_000;
const namespace = "5a1d7c3e-91f4-5f0b-8b0e-2f6a4c1d9e70";

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const clientMessage = z.object({
  id: clientId.optional().catch(undefined),
  role: z.enum(["user", "assistant"]),
  parts: z.array(z.unknown()),
});

/** Parses the client's earlier messages; only text is read, and invalid entries are dropped. */
export function parseHistory(messages: unknown[]): ClientMessage[] {
  return messages.flatMap((message) => {
    const read = clientMessage.safeParse(message);
    if (!read.success) return [];
    const { id, role, parts } = read.data;
    return [{ id, role, parts: parts.flatMap((part) => textPart.safeParse(part).data ?? []) }];
  });
}

/**
 * Finds the question's place in the chat, which need not exist. Null for a history without ids of
 * which nothing is stored.
 */
export async function findPosition(
  userId: string,
  chatId: string,
  before: ClientMessage[],
  question: ClientMessage,
): Promise<HistoryPosition | null> {
  const items = [...before.slice(-maxBefore), question].map(({ id, role, parts }) => ({
    id,
    role: role as Item["role"],
    parts,
    // As stored: without NUL.
    text: textOf({ parts }).replaceAll("\0", ""),
  }));
  const walk = new HistoryWalk(userId, chatId);
  if (before.length === 0 || before.some(({ id }) => id !== undefined)) return walk.followIds(items);
  const textItems = items.filter(({ text }, index) => index === items.length - 1 || text.trim() !== "");
  const matched = await walk.followTexts(textItems.slice(0, -1));
  return matched === 0 ? null : walk.followIds(textItems, matched);
}

class HistoryWalk {
  readonly #userId: string;
  readonly #chatId: string;
  #known = new Map<string, StoredIdentity>();
  readonly #queried = new Set<string>();
  #parent: string | null = null;
  readonly #path: PathEntry[] = [];

  constructor(userId: string, chatId: string) {
    this.#userId = userId;
    this.#chatId = chatId;
  }

  async followIds(items: Item[], from = 0): Promise<HistoryPosition> {
    const rest = items.slice(from);
    await this.#query(rest.flatMap(({ id }) => id ?? []));
    const first = rest[0]?.id === undefined ? undefined : this.#known.get(rest[0].id);
    // A client may keep only the end of a long conversation.
    if (from === 0 && first?.chatId === this.#chatId && first.role === rest[0]?.role) this.#parent = first.parentId;
    const unknown: HistoryPosition["unknown"] = [];
    for (const [index, item] of rest.entries()) {
      const found = await this.#find(item, rest.slice(index + 1));
      const isQuestion = index === rest.length - 1;
      if (found === null && !isQuestion && item.text.trim() === "") continue;
      const id = found ?? this.#freeId(item);
      const parentId = this.#parent;
      this.#path.push({ name: item.id, id, role: item.role });
      this.#parent = id;
      if (isQuestion) return { unknown, question: { id, parentId, stored: found !== null }, path: this.#path };
      if (found === null) unknown.push({ id, parentId, role: item.role, parts: await this.#partsOf(item) });
    }
    throw new Error("a place was asked for without a question");
  }

  /**
   * Walks as long as texts match stored messages, from any starting point. Returns how many match.
   */
  async followTexts(items: Item[]): Promise<number> {
    const rows = await listTexts(this.#userId, this.#chatId, maxTexts);
    const children = Map.groupBy(rows, ({ parentId }) => parentId);
    // Clients do not keep answers without text.
    const below = ({ id }: KnownText): KnownText[] =>
      (children.get(id) ?? []).flatMap((child) =>
        isEmpty(child) ? [child, ...(children.get(child.id) ?? [])] : child,
      );
    let heads: Head[] = [];
    for (const [index, item] of items.entries()) {
      const candidates: Head[] =
        index === 0
          ? rows.map((row) => ({ row }))
          : heads.flatMap((above) => below(above.row).map((row) => ({ row, above })));
      const next = candidates.filter(({ row }) => matchesText(row, item));
      if (next.length === 0) break;
      heads = next;
    }
    const order = new Map(rows.map(({ id }, index) => [id, index]));
    const newest = heads.reduce<Head | undefined>(
      (best, head) => (best && (order.get(best.row.id) ?? 0) > (order.get(head.row.id) ?? 0) ? best : head),
      undefined,
    );
    for (let head = newest; head; head = head.above) this.#path.unshift({ id: head.row.id, role: head.row.role });
    this.#parent = newest?.row.id ?? null;
    return this.#path.length;
  }

  /** The stored message that matches, below the current parent. */
  async #find(item: Item, later: Item[]): Promise<string | null> {
    const row = item.id === undefined ? undefined : this.#known.get(item.id);
    if (row && row.chatId === this.#chatId && row.parentId === this.#parent && this.#isSame(row, item)) return row.id;
    const derived = this.#derive(this.#parent, item);
    if (!this.#queried.has(derived)) {
      // If this one is stored under a derived id, its successors probably are too: query them
      // together.
      const chain = [derived];
      for (const next of later) chain.push(this.#derive(chain.at(-1) as string, next));
      await this.#query(chain);
    }
    return this.#known.get(derived)?.id ?? null;
  }

  #isSame(row: StoredIdentity, item: Item): boolean {
    if (row.role !== item.role) return false;
    // The client may hold only part of a stored answer.
    return row.digest === null || row.digest === digestOf(item.text);
  }

  async #query(ids: string[]): Promise<void> {
    const fresh = [...new Set(ids)].filter((id) => !this.#queried.has(id));
    for (const id of fresh) this.#queried.add(id);
    if (fresh.length > 0) for (const [name, row] of await listNamed(this.#userId, fresh)) this.#known.set(name, row);
  }

  /** The client's id, unless another message has it. */
  #freeId(item: Item): string {
    const taken = item.id === undefined || this.#known.has(item.id) || this.#path.some(({ id }) => id === item.id);
    return taken ? this.#derive(this.#parent, item) : (item.id as string);
  }

  /** Deterministic: the same text in the same place is stored once. */
  #derive(parentId: string | null, { id, role, text }: Item): string {
    const row = id === undefined ? undefined : this.#known.get(id);
    // A client that left early has only part of an answer's text.
    const words = row && !row.isForeign ? null : digestOf(text);
    return uuidv5(JSON.stringify([this.#chatId, parentId, id ?? null, role, words]), namespace);
  }

  /** An answer of this server that now follows other messages is copied with all its parts. */
  async #partsOf({ id, role, parts }: Item): Promise<ChatMessage["parts"]> {
    const row = id === undefined ? undefined : this.#known.get(id);
    if (!row || row.isForeign || row.role !== role) return parts;
    const stored = await findMessage(this.#userId, row.id);
    const copied = stored?.status === "running" ? undefined : (stored?.parts as ChatMessage["parts"] | undefined);
    return copied?.length ? copied : parts;
  }
}

/** A stored message whose text matches a client's, chained to those before it. */
type Head = { row: KnownText; above?: Head };

function isEmpty({ role, digest }: KnownText): boolean {
  return role === "assistant" && digest === digestOf("");
}

function matchesText({ role, status, digest, text }: KnownText, item: Item): boolean {
  if (role !== item.role) return false;
  const clientText = item.text.trim();
  if (role === "assistant" && clientText !== "") {
    if (status === "running") return true;
    if (text?.trimStart().startsWith(clientText)) return true;
  }
  return digest === digestOf(clientText);
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
