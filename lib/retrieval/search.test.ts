import fc from "fast-check";
import { v7 as uuidv7 } from "uuid";
import { beforeAll, describe, expect, it } from "vitest";
import { database, pool } from "@/db/client";
import { users } from "@/db/schema";
import { testDatabase } from "@/test/database";
import { ingestDocument } from "./ingest";
import { countDocuments, search } from "./search";

testDatabase();

const guide = `# Guide

A chat server whose answers are streamed, stored and never lost.

## Starting

Run \`npm start\`. The server listens on the port given by \`PORT\`, which is 3000 by default. It builds first when there is
no build, and migrates the database by itself.

## Stopping an answer

Press Stop, or call the stop endpoint from any device. The provider's connection is closed within a second, and the text
that was already seen is kept.

## Documents

Upload Markdown or plain text files. They are cut into passages, and each answer cites the passages it used.

## Backups

Everything lives in Postgres. Use \`pg_dump\` every night and copy the file to another machine.
`;

const protocol = `# Protocol

## Heartbeats

A comment line goes out at once, then one after every fifteen seconds of silence, so that a proxy does not close the
connection before the first token.

## Resuming

A client that lost its connection sends the last event id it has seen. The stream continues with the next frame: nothing
is lost and nothing comes twice.

## Errors

Errors before the first byte are JSON with a status. After the first byte the last chunk of the stream says what failed.

## Fencing

Each writer has an epoch. A process that lost its lease can append, finish and notify nothing.
`;

let user: string;
let other: string;
let guideId: string;
let protocolId: string;

async function newUser(): Promise<string> {
  const id = uuidv7();
  await database().insert(users).values({ id });
  return id;
}

async function add(userId: string, filename: string, text: string): Promise<string> {
  return (await ingestDocument(userId, { filename, bytes: new TextEncoder().encode(text) })).id;
}

beforeAll(async () => {
  user = await newUser();
  other = await newUser();
  guideId = await add(user, "guide.md", guide);
  protocolId = await add(user, "protocol.md", protocol);
  await add(other, "secret.md", "# Secret\n\nThe heartbeat of the whale is slow. Backups of the whale are impossible.");
});

describe("a question", () => {
  it.each([
    ["How do I make a backup?", "Guide › Backups"],
    ["On which port does the server listen?", "Guide › Starting"],
    ["Can I stop an answer from another device?", "Guide › Stopping an answer"],
    ["How often are heartbeats sent while it is silent?", "Protocol › Heartbeats"],
    ["What happens when a client loses its connection, and how does it resume?", "Protocol › Resuming"],
    ["Please explain how fencing works.", "Protocol › Fencing"],
    ["uploading text files", "Guide › Documents"],
  ])("%j is answered best by %j", async (question, heading) => {
    const sources = await search(user, question);
    expect(sources[0]?.metadata.heading).toBe(heading);
  });

  it("returns ranked and numbered sources", async () => {
    const sources = await search(user, "What does the server do with a connection?");
    expect(sources.length).toBeGreaterThan(1);
    expect(sources.map(({ ordinal }) => ordinal)).toEqual(sources.map((_, index) => index + 1));
    const scores = sources.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    for (const score of scores) {
      expect(score).toBeGreaterThan(0);
      expect(score).toBeLessThanOrEqual(1);
    }
  });

  it("returns a source with all its fields", async () => {
    const [source] = await search(user, "fencing");
    expect(source).toEqual({
      sourceId: source?.chunkId,
      mediaType: "text/markdown",
      title: "Protocol",
      filename: "protocol.md",
      ordinal: 1,
      score: expect.any(Number),
      text: "Each writer has an epoch. A process that lost its lease can append, finish and notify nothing.",
      documentId: protocolId,
      chunkId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      metadata: { heading: "Protocol › Fencing", position: 4 },
    });
    expect(source?.score).toBeGreaterThan(0.7);
  });

  it.each([
    "Who painted the Mona Lisa?",
    "What is the best recipe for a chocolate cake?",
    "Hello!",
    "Can you tell me what it is about, please?",
    "",
    "…",
    "🙂🙂🙂",
  ])("%j finds nothing", async (question) => {
    expect(await search(user, question)).toEqual([]);
  });

  it("returns at most six sources, fewer on request", async () => {
    const reader = await newUser();
    const sections = Array.from(
      { length: 20 },
      (_, n) => `## Part ${n}\n\nThe zebra number${n} eats grass${n} near lake${n}.`,
    );
    await add(reader, "zebras.md", `# Zebras\n\n${sections.join("\n\n")}`);
    expect(await search(reader, "zebra")).toHaveLength(6);
    expect(await search(reader, "zebra", { limit: 2 })).toHaveLength(2);
    expect(await search(reader, "zebra", { limit: 50 })).toHaveLength(6);
  });

  it("returns the same passage once, even when a file was uploaded twice", async () => {
    const reader = await newUser();
    await add(reader, "one.md", protocol);
    await add(reader, "two.md", protocol);
    expect(await search(reader, "fencing epoch of a writer")).toHaveLength(1);
  });
});

describe("scope", () => {
  it("I20: covers only the user's own documents", async () => {
    const texts = (await search(other, "heartbeat backups")).map(({ text }) => text);
    expect(texts).toEqual(["The heartbeat of the whale is slow. Backups of the whale are impossible."]);
    expect(JSON.stringify(await search(user, "heartbeat backups whale"))).not.toContain("whale");
  });

  it("I20: can be narrowed to selected documents; foreign, unknown and malformed ids are ignored", async () => {
    const inProtocol = await search(user, "connection", { documentIds: [protocolId, uuidv7(), "nonsense", "'}"] });
    expect(new Set(inProtocol.map(({ documentId }) => documentId))).toEqual(new Set([protocolId]));
    expect(await search(other, "heartbeat", { documentIds: [protocolId, guideId] })).toEqual([]);
    expect(await search(user, "heartbeat", { documentIds: [] })).toEqual([]);
  });

  it("has a document count", async () => {
    expect(await countDocuments(user)).toBe(2);
    expect(await countDocuments(user, [guideId, uuidv7(), "nonsense"])).toBe(1);
    expect(await countDocuments(user, [])).toBe(0);
    expect(await countDocuments(other, [guideId, protocolId])).toBe(0);
    expect(await countDocuments(await newUser())).toBe(0);
  });
});

describe("a hostile question", () => {
  it.each([
    ["quotes", `heart'beats "heartbeats" ''`],
    ["backslashes", String.raw`heartbeats \ \\ \' fifteen\seconds`],
    ["operators", "heartbeats & | ! ( ) : * <-> heartbeats:* !heartbeats"],
    ["SQL", "'; drop table passages; -- heartbeats"],
    ["NUL and lone surrogates", "heartbeats \0 \ud800 \udc00"],
    ["a pasted page", `heartbeats ${"!&|(':*\\ ".repeat(1250)}`],
    ["markup", "<b>heartbeats</b> <script>silence</script> <!-- first -->"],
  ])("of %s is treated as plain text", async (_, question) => {
    const headings = (await search(user, question)).map(({ metadata }) => metadata.heading);
    expect(headings).toContain("Protocol › Heartbeats");
  });

  it("of ten thousand different words is answered", async () => {
    const words = Array.from({ length: 10_000 }, (_, number) => `w${number}`).join(" ");
    expect(await search(user, words)).toEqual([]);
  });

  it("of any characters never fails", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), async (question) => {
        expect(Array.isArray(await search(user, `heartbeats ${question}`))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

it("plans every search for its own values, never as a generic prepared statement", async () => {
  for (let call = 0; call < 12; call++) expect(await search(user, "backups every night")).not.toEqual([]);
  // One statement per connection of the pool: none may hold the search as a prepared statement.
  const prepared = await Promise.all(
    Array.from(
      { length: 10 },
      () =>
        pool().sql`select statement from pg_prepared_statements, pg_sleep(0.05) where statement like '%ts_rank_cd(%'
          and statement not like '%pg_prepared_statements%'`,
    ),
  );
  expect(prepared.flat()).toEqual([]);
});
