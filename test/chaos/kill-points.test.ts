// A server that dies or is suspended at a named point in a chunk's path (lib/kill-points.ts). Each
// case has its own server A, from the failure-test build, with turns at different stages; server B
// on the same database stays up. What the log held when A died decides the outcome of each turn.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { KillPoint } from "@/lib/kill-points";
import {
  type Cluster,
  eventBytesOf,
  gated,
  gateOf,
  header,
  newKey,
  type TestServer,
  testCluster,
  textOf,
} from "@/test/server/cluster";
import { type EventStream, openStream } from "@/test/sse";
import { underLoad } from "@/test/under-load";
import { countCases, sized } from "./trial";

const leaseMs = 1_500;
const silenceMs = leaseMs + 2_000;
/** A process suspended inside a transaction loses it after this long (db/connect.ts). */
const transactionSleepMs = 5_000;

const points: KillPoint[] = [
  "before-insert",
  "after-insert",
  "after-commit",
  "after-send",
  "before-final-commit",
  "after-final-commit",
];
type Case = { point: KillPoint; passage: number };
const everywhere = (passages: number[]): Case[] =>
  points.flatMap((point) => passages.map((passage) => ({ point, passage })));
/** The first passages hit the start of the first turns, later ones their text. */
const kills = sized(
  everywhere([1]).concat([
    { point: "before-insert", passage: 5 },
    { point: "after-commit", passage: 6 },
  ]),
  everywhere(Array.from({ length: 12 }, (_, index) => index + 1)),
);
const sleeps = sized<Case[]>(
  [
    { point: "after-insert", passage: 4 },
    { point: "after-commit", passage: 5 },
  ],
  everywhere([1, 3, 6]),
);

// Half of the cases on each lane, in parallel: a case mostly waits for a lease to expire.
const lanes = [0, 1].map(() => testCluster({ servers: 0, env: { LEASE_MS: String(leaseMs), HEARTBEAT_MS: "250" } }));
beforeAll(async () => {
  await Promise.all(
    lanes.map(async (lane) => {
      lane.b = await lane.start({ chaos: true });
      lane.user = await lane.guest(lane.b);
      await (await lane.send(newKey(), {}, { server: lane.b })).ended;
    }),
  );
}, 60_000);

type Live = { key: string; script: string; gates: string[]; stream: EventStream; turnId: string; chatId: string };
type Row = { seq: number; type: string; json: string };

/**
 * A turn on A that begins to write when its first gate opens. `started` receives its gates, also
 * when A dies unanswered.
 */
async function send(lane: Cluster, server: TestServer, words: number, started: string[]): Promise<Live> {
  const key = newKey();
  const tokens = Array.from({ length: words }, (_, index) => `word${index} `);
  lane.provider.on(key, [{ gate: gateOf(key, -1) }, ...gated(key, tokens)]);
  const gates = [-1, ...tokens.keys()].map((index) => gateOf(key, index));
  started.push(...gates);
  const stream = await lane.send(key, { searchMode: "none" }, { server });
  const [turnId, chatId] = [header(stream, "x-turn-id"), header(stream, "x-chat-id")];
  return { key, script: tokens.join(""), gates, stream, turnId, chatId };
}

/** Sends turns and lets each emit word after word until A is gone (`over`). */
async function talkUntil(over: Promise<unknown>, begin: () => Promise<Live>, lane: Cluster, lives: Live[]) {
  let going = true;
  const ended = over.then(() => {
    going = false;
  });
  while (going) {
    const live = await Promise.race([ended, begin().catch(orGone(ended))]);
    if (!live) return;
    lives.push(live);
    const { stream, script, gates } = live;
    const words = script.split(/(?<= )/);
    for (const [index, gate] of gates.entries()) {
      lane.provider.open(gate);
      const { length } = words.slice(0, index + 1).join("");
      const there = gate === gates.at(-1) ? stream.ended : stream.until(({ text }) => text.length >= length);
      await Promise.race([ended, there.catch(orGone(ended))]);
      if (!going) return;
    }
  }
}

/** A request that failed because A died: waits until A is gone. */
function orGone(ended: Promise<void>): (error: unknown) => Promise<void> {
  return () => ended;
}

async function storedRows(lane: Cluster, turnId: string): Promise<Row[]> {
  const rows = await lane.sql<Row[]>`
    select seq, chunk->>'type' as type, chunk::text as json from turn_chunks where turn_id = ${turnId} order by seq`;
  return [...rows];
}

const isTerminal = ({ type }: Row) => ["finish", "abort", "error"].includes(type);

/** The required outcome of a turn whose log held these rows when its owner died. */
function fateOf(rows: Row[]): "complete" | "run again" | "interrupted" {
  if (rows.some(isTerminal)) return "complete";
  return rows.some(({ type }) => type === "text-delta") ? "interrupted" : "run again";
}

/** The reader's longest time without frames since then; heartbeats do not count. */
function longestSilenceMs({ frames }: EventStream, sinceMs: number): number {
  const timesMs = [sinceMs, ...frames.map(({ atMs }) => atMs).filter((atMs) => atMs > sinceMs)];
  return Math.max(0, ...timesMs.slice(1).map((atMs, index) => atMs - (timesMs[index] as number)));
}

/** Checks all that must hold for a turn once B has dealt with it. */
async function checkTurn(
  lane: Cluster,
  { live, before, reader }: { live: Live; before: Row[]; reader: EventStream },
  goneMs: number,
  limitMs: number,
) {
  const { stream, turnId, chatId, script, key } = live;
  const fate = fateOf(before);
  expect(await reader.ended).toBe("terminal");
  const rows = await storedRows(lane, turnId);
  expect(rows.slice(0, before.length)).toEqual(before);
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => index + 1));
  expect(rows.filter(isTerminal)).toEqual([rows.at(-1)]);

  const replay = await lane.follow(turnId, { server: lane.b });
  expect(await replay.ended).toBe("terminal");
  const stored = textOf(await lane.answer(chatId, { server: lane.b }));
  expect(stored).toBe(replay.text);
  const { status } = await lane.turn(turnId, { server: lane.b });
  expect(status).toBe(fate === "interrupted" ? "interrupted" : "complete");
  expect(stored).toBe(fate === "interrupted" ? textIn(before) : script);
  expect(script.startsWith(stored)).toBe(true);
  const requests = lane.provider.requests.filter(({ prompt }) => prompt.includes(key));
  // A may have died before it asked.
  expect(fate === "run again" ? [1, 2] : [1]).toContain(requests.length);

  // A's client and B's reader got exactly the stored bytes; the client resumes after them.
  const bytes = eventBytesOf(replay);
  expect(eventBytesOf(reader)).toBe(bytes);
  expect(bytes.startsWith(eventBytesOf(stream))).toBe(true);
  const resumed = await openStream(`${lane.b.url}/api/turns/${turnId}/stream`, {
    token: lane.user.token,
    after: stream,
  });
  expect(await resumed.ended).toBe(resumed.status === 204 ? "eof" : "terminal");
  expect(resumed.chunks).toEqual(replay.chunks);
  expect(longestSilenceMs(reader, goneMs)).toBeLessThan(underLoad(limitMs));
  return fate;
}

function textIn(rows: Row[]): string {
  return rows.map(({ type, json }) => (type === "text-delta" ? JSON.parse(json).delta : "")).join("");
}

/** Runs the cases, half of them on each lane. */
async function inLanes<T>(cases: Case[], run: (lane: Cluster, one: Case) => Promise<T>): Promise<T[]> {
  const results = await Promise.all(
    lanes.map(async (lane, index) => {
      const done: T[] = [];
      for (const one of cases.filter((_, position) => position % lanes.length === index))
        done.push(await run(lane, one));
      return done;
    }),
  );
  return results.flat();
}

/** Turns on A until it is gone: one unanswered, one that keeps writing, others that end. */
async function turnsUntil(
  gone: (a: TestServer) => Promise<unknown>,
  lane: Cluster,
  { point, passage }: Case,
  how = "",
) {
  const a = await lane.start({ chaos: true, env: { KILL_AT: `${point}:${passage}${how}` } });
  const lives: Live[] = [];
  const started: string[] = [];
  const over = gone(a);
  const begin = (words: number) => () => send(lane, a, words, started);
  const ended = over.then(() => {});
  // A suspended process neither answers nor refuses a send.
  const waiting = Promise.race([ended, begin(3)().then((live) => void lives.push(live), orGone(ended))]);
  await Promise.all([waiting, talkUntil(over, begin(40), lane, lives), talkUntil(over, begin(2), lane, lives)]);
  const goneMs = performance.now();
  // B takes nothing over before a lease has expired.
  const ofA = lane.provider.requests.filter(({ prompt }) => lives.some(({ key }) => prompt.includes(key)));
  const found = await lane.sql<{ id: string }[]>`select id from turns where state = 'running'`;
  const turns = await Promise.all(
    lives.map(async (live) => ({
      live,
      before: await storedRows(lane, live.turnId),
      reader: await lane.follow(live.turnId, { server: lane.b }),
    })),
  );
  const known = new Set(lives.map(({ turnId }) => turnId));
  const unknown = found.map(({ id }) => id).filter((id) => !known.has(id));
  const openGates = () => {
    for (const gate of started) lane.provider.open(gate);
  };
  return { a, turns, unknown, ofA, goneMs, openGates };
}

test("I1 I2 I3 I4 I5 I7: SIGKILL at every kill point: seen text is stored, readers learn the end, each turn ends once", async (context) => {
  const fates = await inLanes(kills, async (lane, one) => {
    const { a, turns, unknown, goneMs, openGates } = await turnsUntil(({ exited }) => exited, lane, one);
    expect(await a.exited).toBe("SIGKILL");
    openGates();
    // Sends that A accepted but never answered are turns too.
    for (const turnId of unknown) {
      const reader = await lane.follow(turnId, { server: lane.b });
      expect(await reader.ended).toBe("terminal");
    }
    countCases(context, turns.length + unknown.length);
    return Promise.all(turns.map((turn) => checkTurn(lane, turn, goneMs, silenceMs)));
  });
  const counted = Map.groupBy(fates.flat(), (fate) => fate);
  console.log(`${kills.length} kills: ${[...counted].map(([fate, all]) => `${all.length} ${fate}`).join(", ")}`);
  expect([...counted.keys()].sort()).toEqual(["complete", "interrupted", "run again"]);
});

test("I10 I4 I5: a server paused past its lease loses its turns, and appends, ends and notifies nothing on waking", async (context) => {
  await inLanes(sleeps, async (lane, one) => {
    const { a, turns, ofA, goneMs, openGates } = await turnsUntil(asleep, lane, one, ":stop");
    // In the chaos build a commit is a transaction: suspended, it keeps its locks for a while.
    const limitMs = one.point === "after-insert" ? silenceMs + transactionSleepMs : silenceMs;
    // B reruns some of them and is not ahead of A when A wakes up.
    const again = turns.filter(({ before }) => fateOf(before) === "run again");
    const over = turns.filter((turn) => !again.includes(turn));
    for (const { reader } of over) expect(await reader.ended).toBe("terminal");
    const ids = again.map(({ live }) => live.turnId);
    for (let taken = 0; taken < ids.length; await new Promise((resolve) => setTimeout(resolve, 10)))
      taken = (await lane.sql`select 1 from turns where id = any(${ids}::uuid[]) and epoch > 1`).length;
    const ended = await Promise.all(over.map(({ live }) => everythingOf(lane, live.turnId)));

    const received: string[] = [];
    const listeners = await Promise.all(
      ["rivulet_turns", "rivulet_chats"].map((channel) =>
        lane.sql.listen(channel, (payload) => received.push(payload)),
      ),
    );
    a.signal("SIGCONT");
    // A notices by itself: its readers get what B wrote, and it drops its provider requests.
    for (const { live } of over) expect(await live.stream.ended).toBe("terminal");
    await Promise.all(ofA.map(({ closed }) => closed));
    openGates();
    for (const { live } of again) expect(await live.stream.ended).toBe("terminal");
    // Everything A had to notify before a turn of its own has been sent by now.
    expect(await (await lane.send(newKey(), {}, { server: a })).ended).toBe("terminal");
    await lane.sql.notify("rivulet_turns", "last");
    while (!received.includes("last")) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const { live } of over)
      expect(received.filter((payload) => payload.includes(live.turnId) || payload.includes(live.chatId))).toEqual([]);
    expect(await Promise.all(over.map(({ live }) => everythingOf(lane, live.turnId)))).toEqual(ended);
    await Promise.all(listeners.map(({ unlisten }) => unlisten()));

    for (const turn of over) await checkTurn(lane, turn, goneMs, limitMs);
    // The gates held these up.
    for (const turn of again) await checkTurn(lane, turn, performance.now(), limitMs);
    await a.kill("SIGKILL");
    countCases(context, turns.length);
  });
});

/** Resolves when the process is suspended. */
async function asleep({ pid }: TestServer): Promise<void> {
  const state = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.[0];
  while (state() !== "T") await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The stored turn, log and message. */
async function everythingOf(lane: Cluster, turnId: string): Promise<unknown> {
  const [turn] = await lane.sql`
    select state, epoch, last_seq, error, ended_at, messages.status, messages.text, messages.parts::text as parts
    from turns join messages on messages.turn_id = turns.id where turns.id = ${turnId}`;
  return { ...turn, rows: await storedRows(lane, turnId) };
}

describe("kill points", () => {
  const words = ["KILL_AT", ...points];
  const chunksWith = (folder: string) => {
    const server = path.join(folder, "server");
    const files = readdirSync(server, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".js"));
    return words.filter((word) => files.some((file) => readFileSync(path.join(server, file), "utf8").includes(word)));
  };

  test("exist in the chaos build and not in the production build", () => {
    expect(chunksWith(".next-chaos")).toEqual(words);
    expect(chunksWith(".next")).toEqual([]);
  });
});
