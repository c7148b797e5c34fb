// Wire form of a log position: `<turnId>.<seq>`, or `<turnId>.<seq>.<n>` for the n-th extra frame
// of one chunk (docs/protocol.md §2). Opaque to clients. Pure.

/** The client has received everything up to and including frame `n` of chunk `seq`. */
export type Cursor = { turnId: string; seq: number; n: number };

const pattern = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,9})(?:\.(\d{1,6}))?$/;

export function formatCursor({ turnId, seq, n }: Cursor): string {
  return n === 0 ? `${turnId}.${seq}` : `${turnId}.${seq}.${n}`;
}

/** Null if malformed. */
export function parseCursor(text: string): Cursor | null {
  const match = pattern.exec(text);
  if (!match) return null;
  return { turnId: match[1] as string, seq: Number(match[2]), n: Number(match[3] ?? 0) };
}
