import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { v7 as uuidv7 } from "uuid";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { database, pool } from "@/db/client";
import { users } from "@/db/schema";
import { testDatabase } from "@/test/database";
import { deleteDocument, documentBytesLimit, ingestDocument, listDocuments, requireDocument } from "./ingest";
import { addSampleDocuments } from "./samples";
import { search } from "./search";

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

  it("in many passages, in one go", async () => {
    const user = await newUser();
    const text = Array.from({ length: 2500 }, (_, number) => `${`w${number} `.repeat(150)}`).join("\n\n");
    const { passageCount, id } = await ingestDocument(user, { filename: "long.txt", bytes: bytes(text) });
    expect(passageCount).toBeGreaterThan(2000);
    const [row] = await pool().sql`select count(*)::int, max(ordinal) from passages where document_id = ${id}`;
    expect(row).toEqual({ count: passageCount, max: passageCount });
  });
});

describe("a file is refused", () => {
  it.each([
    ["an unknown type", "a.pdf", bytes("text"), "bad_request", /^file: .*\.txt, \.md, \.markdown/],
    ["no type", "README", bytes("text"), "bad_request", /^file: .*\.txt, \.md, \.markdown/],
    ["nothing in it", "a.md", bytes(""), "bad_request", /^file: .*no text/],
    ["only white space in it", "a.txt", bytes(" \r\n\0\t"), "bad_request", /^file: .*no text/],
    [
      "bytes that are not text",
      "a.txt",
      new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0xff]),
      "bad_request",
      /^file: .*not text in UTF-8/,
    ],
    ["half a character in UTF-16", "a.txt", utf16("ab").subarray(0, 5), "bad_request", /^file: .*not text in UTF-8/],
    [
      "more than the limit",
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
    expect(await listDocuments(user)).toEqual([]);
  });
});

describe("documents", () => {
  it("are listed newest first, and only the user's own", async () => {
    const [user, other] = [await newUser(), await newUser()];
    for (const filename of ["1.txt", "2.txt", "3.txt"]) await ingestDocument(user, { filename, bytes: bytes("x") });
    expect((await listDocuments(user)).map(({ filename }) => filename)).toEqual(["3.txt", "2.txt", "1.txt"]);
    expect(await listDocuments(other)).toEqual([]);
  });

  it("are deleted with their passages", async () => {
    const user = await newUser();
    const { id } = await ingestDocument(user, { filename: "a.txt", bytes: bytes("brewing") });
    await deleteDocument(user, id);
    expect(await pool().sql`select 1 from passages where document_id = ${id}`).toHaveLength(0);
    await expect(deleteDocument(user, id)).rejects.toMatchObject({ code: "not_found" });
  });

  it("I20: of somebody else are the same as unknown ones", async () => {
    const [user, other] = [await newUser(), await newUser()];
    const { id } = await ingestDocument(user, { filename: "a.txt", bytes: bytes("brewing") });
    for (const foreign of [id, uuidv7(), "nonsense", "' or 1=1"]) {
      const failure = { code: "not_found", publicMessage: "There is no such document." };
      await expect(requireDocument(other, foreign)).rejects.toMatchObject(failure);
      await expect(deleteDocument(other, foreign)).rejects.toMatchObject(failure);
    }
    expect(await listDocuments(user)).toHaveLength(1);
  });
});

describe("sample documents", () => {
  const home = process.cwd();
  let folder: string;
  beforeEach(async () => {
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

  it("are this project's files, those that exist; each user may search and delete them", async () => {
    const [user, other] = [await newUser(), await newUser()];
    await addSampleDocuments(user);
    await addSampleDocuments(other);
    const documents = await listDocuments(user);
    expect(
      documents.map(({ title, sample }) => ({ title, sample })).sort((a, b) => a.title.localeCompare(b.title)),
    ).toEqual([
      { title: "Protocol", sample: true },
      { title: "Rivulet", sample: true },
    ]);
    for (const { id } of documents) await deleteDocument(user, id);
    expect(await search(user, "heartbeat")).toEqual([]);
    expect(await search(other, "heartbeat")).toMatchObject([{ title: "Protocol", filename: "protocol.md" }]);
  });
});
