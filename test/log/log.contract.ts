// What every log must do, whatever it is built on (durable-log.ts; RELIABILITY I1, I3, I4, I11, I13, I18). An implementation
// brings a harness and runs this suite.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TurnLog } from "@/lib/log/durable-log";
import type { FinalState, LoggedChunk, TurnChunk } from "@/lib/turn/chunks";
import { foldChunks } from "@/lib/turn/fold";
import { compactChunks } from "@/lib/turn/merge";
import { drain, expectComplete, readUntil, ScriptedTurn, textIn } from "./scripted-turn";

export type LogHarness = {
  /** A log as another process would have it, on the same storage. */
  openLog(): TurnLog;
  insertTurns(count: number): Promise<string[]>;
  /** The chunks as stored. */
  storedLog(turnId: string): Promise<LoggedChunk[]>;
  /** Nothing is stored from here on; resolves once a store of some turn is seen to wait. */
  blockStorage(): Promise<{ storeWaits(): Promise<void>; release(): Promise<void> }>;
};

export function logContract(name: string, harness: LogHarness): void {
  describe(name, () => {
    let here: TurnLog;
    let there: TurnLog;
    beforeEach(() => {
      here = harness.openLog();
      there = harness.openLog();
    });
    afterEach(async () => {
      await Promise.all([here.close(0), there.close(0)]);
    });

    const newTurn = async () => (await harness.insertTurns(1))[0] as string;

    test("I1 I3: every reader gets 1..n with the stored bytes, from any cursor and whenever it joins", async () => {
      const turnIds = await harness.insertTurns(6);
      await Promise.all(
        turnIds.map(async (turnId, index) => {
          const readers = [here.read(turnId, 0), there.read(turnId, 0)].map((reader) => drain(reader));
          const turn = new ScriptedTurn(here, turnId).begin();
          const live = here.read(turnId, 0);
          for (let i = 0; i < 40; i++) {
            await turn.say(`${index}.${i} `);
            if (i % 4 === 0) await live.next();
          }
          const cursor = 1 + index;
          const late = [here.read(turnId, cursor), there.read(turnId, cursor)].map((reader) => drain(reader));
          expect(await turn.end()).toBe("stored");
          const after = [here.read(turnId, 0), there.read(turnId, 0)].map((reader) => drain(reader));
          const stored = await harness.storedLog(turnId);
          expectComplete(stored);
          expect(textIn(stored)).toBe(turn.text);
          for (const all of await Promise.all([...readers, ...after])) expect(all).toEqual(stored);
          for (const rest of await Promise.all(late)) expect(rest).toEqual(stored.slice(cursor));
          const last = stored.length - 1;
          for (const log of [here, there]) {
            expect(await drain(log.read(turnId, last))).toEqual(stored.slice(last));
            expect(await log.read(turnId, stored.length).next()).toBeNull();
          }
        }),
      );
    });

    test("I13 I3: a slow reader delays nobody and misses nothing, even beyond the in-memory buffer", async () => {
      const turnId = await newTurn();
      const slow = here.read(turnId, 0);
      const slowThere = there.read(turnId, 0);
      const turn = new ScriptedTurn(here, turnId).begin();
      const fast = drain(here.read(turnId, 0));
      const first = (await slow.next()) as LoggedChunk[];
      const firstThere = (await slowThere.next()) as LoggedChunk[];
      // 4 MB on the wire, eight times what is kept.
      for (let i = 0; i < 125; i++) await turn.say("é".repeat(16_000));
      expect(await turn.end()).toBe("stored");
      const stored = await harness.storedLog(turnId);
      expectComplete(stored);
      expect(await fast).toEqual(stored);
      for (const [reader, begun] of [
        [slow, first],
        [slowThere, firstThere],
      ] as const) {
        const all = [...begun];
        for (let batch = await reader.next(); batch; batch = await reader.next()) {
          const bytes = batch.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0);
          expect(batch.length === 1 || bytes <= 2 * 131_072).toBe(true);
          all.push(...batch);
        }
        expect(all).toEqual(stored);
      }
    });

    test("I1: delivers only stored chunks, to every reader, with adjacent deltas joined", async () => {
      const turnId = await newTurn();
      const turn = new ScriptedTurn(here, turnId).begin();
      const seen: LoggedChunk[][] = [[], []];
      const opening = (all: LoggedChunk[]) => all.some(({ chunk }) => chunk.type === "text-start");
      const readers = [here.read(turnId, 0), there.read(turnId, 0)];
      await Promise.all(readers.map((reader) => readUntil(reader, opening)));
      const reading = readers.map((reader, index) => drain(reader, seen[index]));

      const storage = await harness.blockStorage();
      turn.say("first");
      await storage.storeWaits();
      for (let i = 0; i < 100; i++) turn.say(` ${i}`);
      turn.append({ type: "text-end", id: "t" });
      await storage.storeWaits();
      expect(seen).toEqual([[], []]);
      await storage.release();

      await turn.end();
      const [local, remote] = (await Promise.all(reading)) as [LoggedChunk[], LoggedChunk[]];
      expect(local).toEqual(remote);
      expect(textIn(local)).toBe(turn.text);
      // What waited is one chunk; the first delta is another one, unless the commit under way was a renewal of the lease.
      const types = local.map(({ chunk }) => chunk.type);
      expect([["text-delta"], ["text-delta", "text-delta"]]).toContainEqual(types.slice(0, types.indexOf("text-end")));
    });

    test("I11: a stop from this or another process aborts the run; a stop of an ended turn says so", async () => {
      for (const from of [here, there]) {
        const turnId = await newTurn();
        const turn = new ScriptedTurn(here, turnId).begin();
        const halted = new Promise((resolve) => turn.writer.signal.addEventListener("abort", resolve, { once: true }));
        expect(await from.requestStop(turnId)).toBe(true);
        await halted;
        expect(turn.writer.signal.reason).toEqual({ status: "stopped" });
        expect(await turn.end("stopped")).toBe("stored");
        expectComplete(await harness.storedLog(turnId));
        expect(await from.requestStop(turnId)).toBe(false);
      }
    });

    test("a cancelled reader gets null at once, and the turn continues", async () => {
      const turnId = await newTurn();
      const turn = new ScriptedTurn(here, turnId).begin();
      const reader = here.read(turnId, 0);
      await readUntil(reader, (all) => all.length === 5);
      const waiting = reader.next();
      reader.close();
      expect(await waiting).toBeNull();
      const released = drain(there.read(turnId, 0));
      there.releaseReaders();
      expect(textIn(await released)).toBe("");
      turn.say("on");
      expect(await turn.end()).toBe("stored");
    });

    test("I4: nothing follows a terminal, and an unencodable chunk fails only its own turn", async () => {
      const [one, two] = (await harness.insertTurns(2)) as [string, string];
      const broken = new ScriptedTurn(here, one).begin();
      const sound = new ScriptedTurn(here, two).begin();
      const output: Record<string, unknown> = {};
      output.self = output;
      expect(() => broken.writer.append({ type: "tool-output-available", toolCallId: "c", output })).toThrow(TypeError);
      sound.say("fine");
      expect(await Promise.all([broken.end("failed"), sound.end()])).toEqual(["stored", "stored"]);
      await sound.writer.append({ type: "text-delta", id: "t", delta: "late" });
      for (const turnId of [one, two]) expectComplete(await harness.storedLog(turnId));
    });

    test("close ends running turns and their readers", async () => {
      const turnId = await newTurn();
      const log = harness.openLog();
      const turn = new ScriptedTurn(log, turnId).begin();
      turn.say("Begun.");
      const ended = turn.endAsHalted();
      await log.close(1);
      expect(await ended).toBe("stored");
      expect(log.liveCount).toBe(0);
      expectComplete(await harness.storedLog(turnId));
    });

    test("I17: close hands unanswered turns over and ends their readers at once", async () => {
      const turnId = await newTurn();
      const log = harness.openLog();
      const turn = new ScriptedTurn(log, turnId).begin();
      const reader = drain(log.read(turnId, 0));
      const ended = turn.endAsHalted();
      const { promise, resolve } = Promise.withResolvers<ScriptedTurn>();
      for (const other of [here, there])
        other.onOrphan(({ epoch, stored }) => resolve(new ScriptedTurn(other, turnId, epoch, stored)));
      await log.close(1);
      expect(await ended).toBe("lost");
      // The lease of the one that left is far from over.
      const heir = await promise;
      heir.say("Answered.");
      expect(await heir.end()).toBe("stored");
      const stored = await harness.storedLog(turnId);
      expectComplete(stored);
      expect(textIn(stored)).toBe("Answered.");
      expect(stored.slice(0, (await reader).length)).toEqual(await reader);
    });

    test("I1 I3 I18: any interleaving of writers and readers has one order, and every replay folds to the same message", async () => {
      const delta = fc.record({ say: fc.string({ unit: "binary", maxLength: 40 }), turn: fc.nat(2) });
      const other = fc.record({ other: fc.constantFrom("reasoning", "tool", "source"), turn: fc.nat(2) });
      const join = fc.record({ join: fc.boolean(), turn: fc.nat(2), after: fc.nat(12) });
      const pause = fc.record({ ticks: fc.nat(30) });
      const steps = fc.array(fc.oneof({ arbitrary: delta, weight: 4 }, other, join, pause), { maxLength: 80 });
      const endings = fc.array(fc.constantFrom<FinalState>("complete", "stopped", "failed"), {
        minLength: 3,
        maxLength: 3,
      });
      await fc.assert(
        fc.asyncProperty(steps, endings, async (script, states) => {
          const turnIds = await harness.insertTurns(3);
          const turns = turnIds.map((turnId) => new ScriptedTurn(here, turnId).begin());
          const joined = turnIds.map((turnId) => [{ after: 0, all: drain(there.read(turnId, 0)) }]);
          for (const [index, step] of script.entries()) {
            if ("ticks" in step) {
              for (let tick = 0; tick < step.ticks; tick++) await new Promise(setImmediate);
            } else if ("say" in step) turns[step.turn]?.say(step.say);
            else if ("other" in step) for (const chunk of partsOf(step.other, index)) turns[step.turn]?.append(chunk);
            else {
              const reader = (step.join ? here : there).read(turnIds[step.turn] as string, step.after);
              joined[step.turn]?.push({ after: step.after, all: drain(reader) });
            }
          }
          await Promise.all(turns.map((turn, index) => turn.end(states[index])));
          for (const [index, turnId] of turnIds.entries()) {
            const stored = await harness.storedLog(turnId);
            expectComplete(stored);
            expect(textIn(stored)).toBe(turns[index]?.text);
            for (const { after, all } of joined[index] ?? []) expect(await all).toEqual(stored.slice(after));
            const fold = (logged: LoggedChunk[]) => foldChunks(logged.map(({ chunk }) => chunk));
            expect(await fold(compactChunks(stored))).toEqual(await fold(stored));
          }
        }),
        { numRuns: 25 },
      );
    });
  });
}

function partsOf(kind: "reasoning" | "tool" | "source", index: number): TurnChunk[] {
  const id = `${kind}${index}`;
  if (kind === "reasoning")
    return [
      { type: "reasoning-start", id },
      { type: "reasoning-delta", id, delta: "hm" },
      { type: "reasoning-delta", id, delta: "… \0", providerMetadata: { test: { kept: true } } },
      { type: "reasoning-end", id },
    ];
  if (kind === "source") return [{ type: "source-document", sourceId: id, mediaType: "text/plain", title: "\ud800" }];
  return [
    { type: "tool-input-start", toolCallId: id, toolName: "clock", dynamic: true },
    { type: "tool-input-delta", toolCallId: id, inputTextDelta: '{"zone":' },
    { type: "tool-input-delta", toolCallId: id, inputTextDelta: '"UTC"}' },
    { type: "tool-input-available", toolCallId: id, toolName: "clock", input: { zone: "UTC" }, dynamic: true },
    { type: "tool-output-available", toolCallId: id, output: { at: new Date(0) }, dynamic: true },
  ];
}
