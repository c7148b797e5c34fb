// Statements on tasks, each filtered by owner: numbers of other users do not exist here.
import "server-only";
import { and, asc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import { database } from "./client";
import { tasks, users } from "./schema";

export type TaskRow = typeof tasks.$inferSelect;

/** Null when the user already has `atMost` tasks; concurrent inserts cannot exceed it. */
export async function insertTask(
  userId: string,
  task: Pick<TaskRow, "title" | "description">,
  atMost: number,
): Promise<TaskRow | null> {
  return database().transaction(async (tx) => {
    // The user's row is the lock under which tasks are counted.
    const [user] = await tx
      .update(users)
      .set({ lastTaskNumber: sql`${users.lastTaskNumber} + 1` })
      .where(eq(users.id, userId))
      .returning({ number: users.lastTaskNumber });
    if (!user) throw new Error(`user ${userId} is gone`);
    if ((await tx.$count(tasks, eq(tasks.userId, userId))) >= atMost) return null;
    const [row] = await tx
      .insert(tasks)
      .values({ userId, number: user.number, ...task })
      .returning();
    return row ?? null;
  });
}

export type TaskFilter = { completed?: boolean; afterNumber?: number; limit: number };

/** In insertion order. */
export async function listTasks(userId: string, { completed, afterNumber, limit }: TaskFilter): Promise<TaskRow[]> {
  const state = completed === undefined ? undefined : (completed ? isNotNull : isNull)(tasks.completedAt);
  return database()
    .select()
    .from(tasks)
    .where(and(eq(tasks.userId, userId), state, afterNumber === undefined ? undefined : gt(tasks.number, afterNumber)))
    .orderBy(asc(tasks.number))
    .limit(limit);
}

export type TaskChange = { title?: string; description?: string; completed?: boolean };

/**
 * The updated task; null when there is none with this number. A completed one keeps its first
 * completion time.
 */
export async function updateTask(
  userId: string,
  number: number,
  { completed, ...change }: TaskChange,
): Promise<TaskRow | null> {
  const state = completed === undefined ? {} : { completedAt: completed ? firstTime : null };
  const [row] = await database()
    .update(tasks)
    .set({ ...change, ...state })
    .where(and(eq(tasks.userId, userId), eq(tasks.number, number)))
    .returning();
  return row ?? null;
}

const firstTime = sql`coalesce(${tasks.completedAt}, now())`;

/** The deleted task; null when there is none with this number. */
export async function deleteTask(userId: string, number: number): Promise<TaskRow | null> {
  const [row] = await database()
    .delete(tasks)
    .where(and(eq(tasks.userId, userId), eq(tasks.number, number)))
    .returning();
  return row ?? null;
}
