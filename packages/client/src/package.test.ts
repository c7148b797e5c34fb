// The package as published: packed, installed outside the project, and used by plain Node and by the
// TypeScript compiler.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startScriptedServer } from "@/test/client/scripted-server";
import { context, speak, tinyTurn } from "@/test/dialect-server";
import { installPackedClient } from "@/test/packed-client";

const run = promisify(execFile);
const root = path.join(import.meta.dirname, "../../..");
const readJson = async (file: string) => JSON.parse(await readFile(file, "utf8"));

let folder: string;
let installed: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "rivulet-package-"));
  installed = await installPackedClient(folder);
}, 300_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("contains its code, types, README and licence, and nothing else", async () => {
  const files = await readdir(installed, { recursive: true, withFileTypes: true });
  const names = files
    .filter((file) => file.isFile())
    .map((file) => path.relative(installed, path.join(file.parentPath, file.name)));
  const built = names.filter((name) => !/^dist\/(packages\/client\/src|lib\/turn)\/[\w-]+\.(js|d\.ts)$/.test(name));
  expect(built.sort()).toEqual(["LICENSE", "README.md", "package.json"]);
  expect(names.filter((name) => name.includes(".test."))).toEqual([]);
});

test("depends on the same versions as the server", async () => {
  const { name, version, license, dependencies } = await readJson(path.join(installed, "package.json"));
  const server = await readJson(path.join(root, "package.json"));
  expect({ name, version, license }).toEqual({ name: "rivulet-client", version: server.version, license: "MIT" });
  expect(server.dependencies).toMatchObject(dependencies);
  expect(await readFile(path.join(installed, "LICENSE"), "utf8")).toBe(
    await readFile(path.join(root, "LICENSE"), "utf8"),
  );
});

test("follows an answer over a cut connection, in plain Node outside the project", async () => {
  const server = await startScriptedServer();
  let cuts = 0;
  server.answer = speak({
    name: "ai-sdk",
    turn: tinyTurn,
    breaks: ({ response }, blocks) => {
      if (cuts++ > 0) return false;
      response.write(blocks.slice(0, 3).join(""), () => response.socket?.end());
      return true;
    },
  });
  await writeFile(
    path.join(folder, "main.js"),
    `import { createChatClient } from "rivulet-client";
    import { ResumableChatTransport } from "rivulet-client/transport";
    import { useChatStream } from "rivulet-client/react";
    const [baseUrl, chat] = process.argv.slice(2);
    const backoff = { minMs: 1, maxMs: 5 };
    const client = createChatClient({ baseUrl, dialect: "ai-sdk", backoff });
    let text = "";
    let end;
    for await (const event of client.send({ text: "What is a rivulet?", chat })) {
      if (event.type === "text") text += event.delta;
      end = event.type;
    }
    const transport = new ResumableChatTransport({ baseUrl, backoff });
    const stream = await transport.reconnectToStream({ chatId: chat });
    const types = (await Array.fromAsync(stream)).map(({ type }) => type);
    console.log(JSON.stringify({ text, end, types, hook: typeof useChatStream }));`,
  );
  await writeFile(path.join(folder, "package.json"), '{ "type": "module" }');
  const { stdout, stderr } = await run(process.execPath, ["main.js", server.url, context.chatId], { cwd: folder });
  await server.close();
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({
    text: "Grüße 日本🌊",
    end: "done",
    types: tinyTurn.map(({ type }) => type),
    hook: "function",
  });
  expect(cuts).toBeGreaterThan(2);
});

const compilerOptions = {
  ...{ target: "es2023", lib: ["es2023", "dom", "dom.iterable"], jsx: "react-jsx", types: [] },
  ...{ strict: true, noEmit: true, skipLibCheck: true },
};

/** A type that does not resolve is `any`, which would allow everything that is expected to fail. */
const typed = `
  import { createApi, createChatClient } from "rivulet-client";
  import { useChatStream } from "rivulet-client/react";
  import { ResumableChatTransport } from "rivulet-client/transport";
  const { messages } = await createApi().listMessages("chat");
  messages[0]?.metadata?.usage?.inputTokens satisfies number | undefined;
  // @ts-expect-error
  messages[0]?.metadata?.status satisfies number;
  // @ts-expect-error
  createChatClient({ dialect: "none" });
  // @ts-expect-error
  useChatStream({ dialect: "rag" }).messages satisfies number;
  // @ts-expect-error
  (await new ResumableChatTransport().reconnectToStream({ chatId: "chat" })) satisfies number;
`;

test.each([
  { module: "nodenext", moduleResolution: "nodenext" },
  { module: "esnext", moduleResolution: "bundler" },
])(
  "types are whole and README compiles with $moduleResolution",
  async (resolution) => {
    const readme = await readFile(path.join(installed, "README.md"), "utf8");
    const examples = Array.from(readme.matchAll(/^```tsx?\n(.*?)^```$/gms), ([, code = ""]) => code);
    expect(examples.length).toBeGreaterThan(3);
    const codes = [typed, ...examples];
    const files = codes.map((_, index) => `code-${index}.tsx`);
    await Promise.all(files.map((file, index) => writeFile(path.join(folder, file), codes[index] ?? "")));
    const config = { compilerOptions: { ...compilerOptions, ...resolution }, files };
    await writeFile(path.join(folder, "tsconfig.json"), JSON.stringify(config));
    const compiler = path.join(root, "node_modules/typescript/bin/tsc");
    await expect(run(process.execPath, [compiler, "-p", folder])).resolves.toMatchObject({ stdout: "" });
  },
  240_000,
);
