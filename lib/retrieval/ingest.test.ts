import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { v7 as uuidv7 } from "uuid";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { database, pool } from "@/db/client";
import { users } from "@/db/schema";
import { testDatabase } from "@/test/database";
import { deleteDocument, documentBytesLimit, ingestDocument, listDocuments, requireDocument } from "./ingest";
import { refreshSamples, removeSampleCopies } from "./samples";
import { countDocuments, search } from "./search";

testDatabase();

async function newUser(): Promise<string> {
  const id = uuidv7();
  await database().insert(users).values({ id });
  return id;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string) => Buffer.from(`\ufeff${text}`, "utf16le");

describe("a file becomes a document", () => {
  it("with its title, type, size and passages", async () => {
    const user = await newUser();
    const text = "# The *Handbook*\n\nHow to brew.\n\n## Water\n\nUse soft water.\n";
    const added = await ingestDocument(user, { filename: "C:\\docs\\handbook.MD", bytes: bytes(text) });
    expect(added).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      title: "The Handbook",
      filename: "handbook.MD",
      mediaType: "text/markdown",
      bytes: text.length,
      passageCount: 2,
      sample: false,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    expect(await requireDocument(user, added.id)).toEqual(added);
    const stored = await pool()
      .sql`select ordinal, heading, text from passages where document_id = ${added.id} order by ordinal`;
    expect([...stored]).toEqual([
      { ordinal: 1, heading: "The Handbook", text: "How to brew." },
      { ordinal: 2, heading: "The Handbook › Water", text: "Use soft water." },
    ]);
  });

  it.each([
    ["UTF-8 with a byte order mark", bytes("\ufeffbrew é 🙂")],
    ["UTF-16, little endian", utf16("brew é 🙂")],
    ["UTF-16, big endian", Buffer.from(utf16("brew é 🙂")).swap16()],
    ["NUL characters", bytes("br\0ew é 🙂\0")],
  ])("from %s", async (_, content) => {
    const user = await newUser();
    const { id, title } = await ingestDocument(user, { filename: "note.txt", bytes: content });
    expect(title).toBe("note.txt");
    const stored = await pool().sql`select text from passages where document_id = ${id}`;
    expect([...stored]).toEqual([{ text: "brew é 🙂" }]);
  });

  it("with thousands of passages", async () => {
    const user = await newUser();
    const text = Array.from({ length: 2500 }, (_, number) => `${`w${number} `.repeat(150)}`).join("\n\n");
    const { passageCount, id } = await ingestDocument(user, { filename: "long.txt", bytes: bytes(text) });
    expect(passageCount).toBeGreaterThan(2000);
    const [row] = await pool().sql`select count(*)::int, max(ordinal) from passages where document_id = ${id}`;
    expect(row).toEqual({ count: passageCount, max: passageCount });
  });
});

describe("a file is rejected", () => {
  it.each([
    ["an unknown type", "a.pdf", bytes("text"), "bad_request", /^file: .*\.txt, \.md, \.markdown/],
    ["no type", "README", bytes("text"), "bad_request", /^file: .*\.txt, \.md, \.markdown/],
    ["no content", "a.md", bytes(""), "bad_request", /^file: .*no text/],
    ["only white space", "a.txt", bytes(" \r\n\0\t"), "bad_request", /^file: .*no text/],
    [
      "bytes that are not text",
      "a.txt",
      new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0xff]),
      "bad_request",
      /^file: .*not text in UTF-8/,
    ],
    ["half a character in UTF-16", "a.txt", utf16("ab").subarray(0, 5), "bad_request", /^file: .*not text in UTF-8/],
    [
      "more bytes than the limit",
      "a.txt",
      new Uint8Array(documentBytesLimit + 1).fill(97),
      "too_large",
      /^file: larger than 10 MiB/,
    ],
  ])("with %s", async (_, filename, content, code, message) => {
    const user = await newUser();
    await expect(ingestDocument(user, { filename, bytes: content })).rejects.toMatchObject({
      code,
      publicMessage: expect.stringMatching(message),
    });
    expect((await listDocuments(user)).documents).toEqual([]);
  });
});

describe("documents", () => {
  it("are listed newest first, only for their user", async () => {
    const [user, other] = [await newUser(), await newUser()];
    for (const filename of ["1.txt", "2.txt", "3.txt"]) await ingestDocument(user, { filename, bytes: bytes("x") });
    expect((await listDocuments(user)).documents.map(({ filename }) => filename)).toEqual(["3.txt", "2.txt", "1.txt"]);
    expect((await listDocuments(other)).documents).toEqual([]);
  });

  it("are paged, each once, even when stored at the same instant", async () => {
    const user = await newUser();
    await pool().sql`
      insert into documents (id, user_id, title, filename, media_type, bytes, passage_count, created_at)
      select gen_random_uuid(), ${user}, 'd', n || '.md', 'text/markdown', 1, 1, timestamptz '2026-01-01 00:00:00.000001' + n / 3 * interval '1 us'
      from generate_series(1, 11) as n`;
    const all = (await listDocuments(user)).documents.map(({ id }) => id);
    const seen: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listDocuments(user, { limit: 4, ...(cursor && { cursor }) });
      expect(page.documents.length).toBeLessThanOrEqual(4);
      seen.push(...page.documents.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(all);
    await expect(listDocuments(user, { cursor: "x" })).rejects.toMatchObject({ code: "bad_request" });
  });

  it("are deleted with their passages", async () => {
    const user = await newUser();
    const { id } = await ingestDocument(user, { filename: "a.txt", bytes: bytes("brewing") });
    await deleteDocument(user, id);
    expect(await pool().sql`select 1 from passages where document_id = ${id}`).toHaveLength(0);
    await expect(deleteDocument(user, id)).rejects.toMatchObject({ code: "not_found" });
  });

  it("I20: of another user look like unknown ones", async () => {
    const [user, other] = [await newUser(), await newUser()];
    const { id } = await ingestDocument(user, { filename: "a.txt", bytes: bytes("brewing") });
    for (const foreign of [id, uuidv7(), "nonsense", "' or 1=1"]) {
      const failure = { code: "not_found", publicMessage: "There is no such document." };
      await expect(requireDocument(other, foreign)).rejects.toMatchObject(failure);
      await expect(deleteDocument(other, foreign)).rejects.toMatchObject(failure);
    }
    expect((await listDocuments(user)).documents).toHaveLength(1);
  });
});

describe("sample documents", () => {
  const home = process.cwd();
  let folder: string;
  beforeEach(async () => {
    await pool().sql`delete from documents where sample`;
    folder = await mkdtemp(path.join(tmpdir(), "rivulet-samples-"));
    await mkdir(path.join(folder, "docs"));
    await writeFile(path.join(folder, "README.md"), "# Rivulet\n\nStart it with npm start.\n");
    await writeFile(path.join(folder, "docs/protocol.md"), "# Protocol\n\nA heartbeat every 15 seconds.\n");
    process.chdir(folder);
  });
  afterEach(async () => {
    process.chdir(home);
    await rm(folder, { recursive: true });
  });

  const write = (file: string, text: string) => writeFile(path.join(folder, file), text);
  const namesFor = async (user: string) => (await listDocuments(user)).documents.map(({ filename }) => filename).sort();

  it("are the project's existing files, stored once for all users; deleting one hides it for one user", async () => {
    const [user, other] = [await newUser(), await newUser()];
    await Promise.all([refreshSamples(), refreshSamples(), refreshSamples()]);
    const documents = (await listDocuments(user)).documents;
    expect(
      documents.map(({ title, sample }) => ({ title, sample })).sort((a, b) => a.title.localeCompare(b.title)),
    ).toEqual([
      { title: "Protocol", sample: true },
      { title: "Rivulet", sample: true },
    ]);
    expect((await listDocuments(other)).documents).toEqual(documents);
    const [rows] = await pool().sql`
      select (select count(*)::int from documents where sample) as documents, (select count(*)::int from passages where user_id is null) as passages`;
    expect(rows).toEqual({ documents: 2, passages: 2 });
    expect([await countDocuments(user), await countDocuments(user, [documents[0]?.id as string])]).toEqual([2, 1]);
    for (const { id } of documents) {
      expect(await requireDocument(user, id)).toMatchObject({ id });
      await deleteDocument(user, id);
      // From here on it is like any unknown document.
      await expect(deleteDocument(user, id)).rejects.toMatchObject({ status: 404 });
      await expect(requireDocument(user, id)).rejects.toMatchObject({ status: 404 });
      expect(await search(user, "heartbeat", { documentIds: [id] })).toEqual([]);
    }
    expect([(await listDocuments(user)).documents, await countDocuments(user)]).toEqual([[], 0]);
    expect(await search(user, "heartbeat")).toEqual([]);
    const [found] = await search(other, "heartbeat");
    expect(found).toMatchObject({ title: "Protocol", filename: "protocol.md" });
    expect(await search(other, "heartbeat", { documentIds: [found?.documentId as string] })).toEqual([found]);
  });

  it("are searched together with the user's own documents, and no other user's", async () => {
    const [user, other] = [await newUser(), await newUser()];
    await refreshSamples();
    const own = await ingestDocument(user, { filename: "own.md", bytes: bytes("# Own\n\nThe heartbeat of a whale.") });
    await ingestDocument(other, { filename: "theirs.md", bytes: bytes("# Theirs\n\nA heartbeat of stone.") });
    const files = async (documentIds?: string[]) =>
      (await search(user, "heartbeat", { documentIds })).map(({ filename }) => filename).sort();
    expect(await files()).toEqual(["own.md", "protocol.md"]);
    expect(await files([own.id])).toEqual(["own.md"]);
    expect(await countDocuments(user)).toBe(3);
  });

  it("follow file changes, and keep their ids and who hid them", async () => {
    const [user, other] = [await newUser(), await newUser()];
    await refreshSamples();
    const [before] = (await listDocuments(user)).documents.filter(({ filename }) => filename === "protocol.md");
    await deleteDocument(other, before?.id as string);
    await write("docs/protocol.md", "# Protocol 2\n\nA pulse every 20 seconds.\n");
    await refreshSamples();
    const [after] = (await listDocuments(user)).documents.filter(({ filename }) => filename === "protocol.md");
    expect(after).toMatchObject({ id: before?.id, title: "Protocol 2" });
    expect(await search(user, "heartbeat")).toEqual([]);
    expect(await search(user, "pulse")).toMatchObject([{ title: "Protocol 2" }]);
    expect(await search(other, "pulse")).toEqual([]);
    // An unreadable file must not delete its stored content.
    await rm(path.join(folder, "docs/protocol.md"));
    await refreshSamples();
    expect(await search(user, "pulse")).toHaveLength(1);
  });

  it("replace copies made by older versions; a deleted copy stays deleted", async () => {
    const [all, some] = [await newUser(), await newUser()];
    await refreshSamples();
    const copy = async (userId: string, filename: string) => {
      const { id } = await ingestDocument(userId, {
        filename,
        bytes: bytes("# Copy\n\nA heartbeat every 15 seconds."),
      });
      await pool().sql`update documents set sample = true where id = ${id}`;
      return id;
    };
    for (const filename of ["README.md", "ARCHITECTURE.md", "protocol.md", "operations.md"]) await copy(all, filename);
    const last = await copy(some, "README.md");
    // Not swept yet: each is listed once.
    expect(await namesFor(all)).toEqual(["README.md", "protocol.md"]);
    while ((await removeSampleCopies(1)) > 0);
    expect(await pool().sql`select from documents where sample and user_id is not null`).toHaveLength(0);
    expect(await namesFor(all)).toEqual(["README.md", "protocol.md"]);
    expect(await namesFor(some)).toEqual(["README.md"]);
    expect((await search(all, "heartbeat")).map(({ filename }) => filename)).toEqual(["protocol.md"]);
    expect(await search(some, "heartbeat")).toEqual([]);
    await expect(requireDocument(some, last)).rejects.toMatchObject({ status: 404 });
  });

  it("stay hidden after the upgrade for users who had deleted some or all copies", async () => {
    const [none, some] = [await newUser(), await newUser()];
    const { id } = await ingestDocument(some, { filename: "README.md", bytes: bytes("# Copy\n\nText.") });
    await pool().sql`update documents set sample = true where id = ${id}`;
    const migrations = path.join(home, "db/migrations");
    const [file] = (await readdir(migrations)).filter((name) => name.endsWith("_samples.sql"));
    const statements = (await readFile(path.join(migrations, file as string), "utf8")).split(
      "--> statement-breakpoint",
    );
    await pool().sql`truncate hidden_samples`;
    await pool().sql.unsafe(statements.at(-1) as string);
    await refreshSamples();
    expect(await namesFor(none)).toEqual([]);
    expect(await namesFor(some)).toEqual(["README.md"]);
  });
});
