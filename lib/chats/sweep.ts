// What nobody needs any more, found and deleted in the background: chunks without a turn, prompts of pruned turns, chats of
// stateless calls, idle guests, copies of samples. Every process does this; statements are bounded and skip what another one is at. What ended an hour
// ago is the log's own business (lib/log/reaper.ts).
import { setTimeout as delay } from "node:timers/promises";
import { deleteChat, listChatIds, listForgottenChats } from "@/db/chats";
import { deleteSomeDocuments } from "@/db/documents";
import { deleteOrphanChunks, forgetPrompts, listTurnsOfChunks } from "@/db/log";
import { countStoredBytes } from "@/db/stored-bytes";
import { claimIdleGuests, deleteGuest, markSeen } from "@/db/users";
import { clientStreams } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { logger } from "@/lib/logger";
import { repeat } from "@/lib/repeat";
import { removeSampleCopies } from "@/lib/retrieval/samples";
import { isDraining } from "./drain";

const sweepEveryMs = 3_600_000;
/** So that servers that were started together do not sweep together, and a restart soon sweeps. */
const firstSweepMs = 60_000;
/** Between two statements: the sweep never takes more than a small share of the database. */
const pauseMs = 50;
const turnsPerPage = 200;
const chunksPerDelete = 5_000;
const chatsPerPage = 100;
const guestsPerClaim = 20;
const documentsPerDelete = 5;
const usersPerDelete = 20;
/** Each may have written for years. */
const usersPerCount = 5;
const noId = "00000000-0000-0000-0000-000000000000";

/** To be called once, when the server's life begins. */
export function beginSweeps(): void {
  repeat(sweepEveryMs, sweep, firstSweepMs * (1 + Math.random()));
}

/** One round over everything. */
async function sweep(): Promise<void> {
  await sweepChunks();
  await sweepPrompts();
  await sweepForgottenChats();
  await sweepGuests(env().GUEST_DAYS);
  await sweepSampleCopies();
  await countUncounted();
}

/** Until then the ceiling on stored bytes leaves out what users of an older version had stored. */
export async function countUncounted(): Promise<void> {
  while (!isDraining() && (await countStoredBytes(usersPerCount)) > 0) await delay(pauseMs);
}

/** Chunks of turns that are gone, as after a user was deleted with SQL. */
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
  if (deleted > 0) logger.info({ chunks: deleted }, "deleted chunks of turns that are gone");
}

export async function sweepPrompts(): Promise<void> {
  for (let after: string | null = noId; after !== null && !isDraining(); ) {
    after = await forgetPrompts(after, turnsPerPage);
    await delay(pauseMs);
  }
}

/** Chats of stateless calls, a day after their last use. */
export async function sweepForgottenChats(): Promise<void> {
  for (let more = true; more && !isDraining(); ) {
    const chats = await listForgottenChats(chatsPerPage);
    more = chats.length === chatsPerPage;
    for (const { userId, id } of chats) if (!isDraining()) await deleteChat(userId, id);
    await delay(pauseMs);
  }
}

/** Each user of an older version got copies of the samples; servers of that version may still make some. */
export async function sweepSampleCopies(): Promise<void> {
  while (!isDraining() && (await removeSampleCopies(usersPerDelete)) === usersPerDelete) await delay(pauseMs);
}

/** Guests that were not seen for so many days, each with everything, chat by chat. */
export async function sweepGuests(days: number): Promise<void> {
  await markSeen([...clientStreams()].flatMap(({ user }) => (user ? [user.id] : [])));
  let deleted = 0;
  for (let more = true; more && !isDraining(); ) {
    const guests = await claimIdleGuests(days, guestsPerClaim);
    more = guests.length === guestsPerClaim;
    for (const id of guests) if (await deleteWithEverything(id)) deleted += 1;
  }
  if (deleted > 0) logger.info({ guests: deleted }, "deleted guests that were away for GUEST_DAYS");
}

/** A guest that nobody can reach any more. False when it was not finished, which the next round does. */
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
