// List cursors: opaque to clients, validated on return. They carry no secrets and no authority:
// every statement also names the owner.
import { z } from "zod";
import { AppError } from "./errors";

/** Postgres's time format: keeps the microseconds a Date would lose. */
export const exactTime = z.string().regex(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d)?$/);
/** For lists ordered by creation. */
export const createdCursor = z.object({ createdAt: exactTime, id: z.uuid() });

export const pageQuery = z.object({
  cursor: z.string().max(1_000).optional().describe("`nextCursor` of the previous page."),
  limit: z.coerce.number().int().min(1).max(100).optional().describe("Maximum page size. Default: 50."),
});
export type PageQuery = z.output<typeof pageQuery>;

export const pageSize = 50;

/** Throws bad_request for a cursor that no list issued. */
export function parseListCursor<T>(shape: z.ZodType<T>, cursor: string | undefined): T | undefined {
  if (cursor === undefined) return undefined;
  try {
    return shape.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
  } catch (cause) {
    throw new AppError("bad_request", "cursor: is not one that this list gave out", { cause });
  }
}

/** Cuts a page from rows fetched with `limit + 1`. */
export function cutPage<T extends { cursor: object }>(
  found: T[],
  limit: number,
): { page: T[]; nextCursor: string | null } {
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return { page, nextCursor: last ? Buffer.from(JSON.stringify(last.cursor)).toString("base64url") : null };
}
