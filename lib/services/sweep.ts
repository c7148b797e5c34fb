// Background cleanup: chunks without a turn, prompts of pruned turns, chats of stateless calls,
// idle guests, copies of samples. Every process runs it; statements are bounded and skip rows that
// another is working on. The log prunes its own old chunks (lib/log/reaper.ts).
import { setTimeout as delay } from "node:timers/promises";
import { deleteChat, listChatIds, listExpiredStatelessChats } from "@/db/chats";
import { deleteSomeDocuments } from "@/db/documents";
import { deleteOrphanChunks, deletePrompts, listTurnsOfChunks } from "@/db/log";
import { countStoredBytes } from "@/db/stored-bytes";
import { claimIdleGuests, deleteGuest, markSeen } from "@/db/users";
import { clientStreams } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import { removeSampleCopies } from "@/lib/retrieval/samples";
import { isDraining } from "@/lib/services/turns/drain";

const sweepEveryMs = 3_600_000;
/**
 * Jittered, so that servers started together do not sweep together, and a restarted one sweeps
 * soon.
 */
const firstSweepMs = 60_000;
/** Pause between statements: keeps the sweep's share of the database small. */
const pauseMs = 50;
const turnsPerPage = 200;
const chunksPerDelete = 5_000;
const chatsPerPage = 100;
const guestsPerClaim = 20;
const documentsPerDelete = 5;
const usersPerDelete = 20;
/** Each user may have years of data. */
const usersPerCount = 5;
const noId = "00000000-0000-0000-0000-000000000000";

/** Call once at startup. */
export function startSweeps(): void {
  repeat(sweepEveryMs, sweep, firstSweepMs * (1 + Math.random()));
}

async function sweep(): Promise<void> {
  await sweepChunks();
  await sweepPrompts();
  await sweepStatelessChats();
  await sweepGuests(env().GUEST_DAYS);
  await sweepSampleCopies();
  await countMissingBytes();
}

/** Until this is done, the storage ceiling ignores data stored by older versions. */
export async function countMissingBytes(): Promise<void> {
  while (!isDraining() && (await countStoredBytes(usersPerCount)) > 0) await delay(pauseMs);
}

/** Chunks whose turns are gone, e.g. after a user was deleted with SQL. */
export async function sweepChunks(): Promise<void> {
  let deleted = 0;
  for (let after: string | undefined = noId; after !== undefined && !isDraining(); ) {
    const page: { turnId: string; gone: boolean }[] = await listTurnsOfChunks(after, turnsPerPage);
    after = page.length === turnsPerPage ? page.at(-1)?.turnId : undefined;
    const gone = page.filter((turn) => turn.gone).map(({ turnId }) => turnId);
    for (let more = gone.length > 0; more && !isDraining(); ) {
      const count = await deleteOrphanChunks(gone, chunksPerDelete);
      deleted += count;
      more = count === chunksPerDelete;
      await delay(pauseMs);
    }
  }
  if (deleted > 0) logger.info({ chunks: deleted }, "deleted chunks of deleted turns");
}

export async function sweepPrompts(): Promise<void> {
  for (let after: string | null = noId; after !== null && !isDraining(); ) {
    after = await deletePrompts(after, turnsPerPage);
    await delay(pauseMs);
  }
}

/** Deletes chats of stateless calls a day after their last use. */
export async function sweepStatelessChats(): Promise<void> {
  for (let more = true; more && !isDraining(); ) {
    const chats = await listExpiredStatelessChats(chatsPerPage);
    more = chats.length === chatsPerPage;
    for (const { userId, id } of chats) if (!isDraining()) await deleteChat(userId, id);
    await delay(pauseMs);
  }
}

/** Older versions copied the samples to each user, and servers of that version may still do so. */
export async function sweepSampleCopies(): Promise<void> {
  while (!isDraining() && (await removeSampleCopies(usersPerDelete)) === usersPerDelete) await delay(pauseMs);
}

/** Deletes guests not seen for `days`, with all their data, chat by chat. */
export async function sweepGuests(days: number): Promise<void> {
  await markSeen([...clientStreams()].flatMap(({ user }) => (user ? [user.id] : [])));
  let deleted = 0;
  for (let more = true; more && !isDraining(); ) {
    const guests = await claimIdleGuests(days, guestsPerClaim);
    more = guests.length === guestsPerClaim;
    for (const id of guests) if (await deleteWithEverything(id)) deleted += 1;
  }
  if (deleted > 0) logger.info({ guests: deleted }, "deleted guests inactive for GUEST_DAYS");
}

/** For a guest nobody can reach any more. False if unfinished; the next round continues. */
export async function deleteWithEverything(userId: string): Promise<boolean> {
  for (let chatIds = await listChatIds(userId, chatsPerPage); chatIds.length > 0; ) {
    for (const chatId of chatIds) {
      if (isDraining()) return false;
      await deleteChat(userId, chatId);
    }
    await delay(pauseMs);
    chatIds = await listChatIds(userId, chatsPerPage);
  }
  while ((await deleteSomeDocuments(userId, documentsPerDelete)) > 0) await delay(pauseMs);
  return deleteGuest(userId);
}
