// biome.json holds the import rules. This test breaks each of them once, and Biome must refuse it.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = path.dirname(import.meta.dirname);
const biome = path.join(root, "node_modules/.bin/biome");

/** A file in a folder, the imports it may have, and those it may not. */
const cases: [file: string, allowed: string[], refused: string[]][] = [
  [
    "app/file.ts",
    ["@/components/x", "@/lib/services/x", "@/lib/dialects/x", "@/lib/models/x", "@/lib/env", "next/server", "react"],
    [
      "@/db/x",
      "@/lib/log/x",
      "@/lib/tools/x",
      "../x",
      "drizzle-orm",
      "@ai-sdk/openai",
      "@ai-sdk/anthropic",
      "@openrouter/ai-sdk-provider",
    ],
  ],
  [
    "components/chat/file.ts",
    [
      "@/components/ui/x",
      "@/packages/client/src/x",
      "@/lib/turn/x",
      "react",
      "@ai-sdk/react",
      "next/link",
      "next/navigation",
    ],
    ["@/app/x", "@/db/x", "@/lib/services/x", "@/lib/models/x", "@/lib/env", "next/headers", "next-auth", "../ui/x"],
  ],
  [
    "lib/services/file.ts",
    ["@/lib/log/x", "@/lib/tools/x", "@/lib/models/x", "@/lib/retrieval/x", "@/lib/turn/x", "@/db/x", "@/lib/env"],
    [
      "@/app/x",
      "@/components/x",
      "@/packages/client/src/x",
      "@/lib/dialects/x",
      "next/server",
      "react",
      "drizzle-orm",
      "../env",
    ],
  ],
  [
    "lib/dialects/file.ts",
    ["@/lib/turn/x", "@/lib/sse", "@/lib/errors", "./x"],
    ["@/lib/env", "@/lib/services/x", "@/lib/log/x", "@/db/x", "next/server"],
  ],
  [
    "lib/log/file.ts",
    ["@/lib/turn/x", "@/db/x", "@/lib/env"],
    ["@/lib/services/x", "@/lib/models/x", "@/lib/dialects/x", "@/app/x", "drizzle-orm/pg-core"],
  ],
  [
    "lib/tools/file.ts",
    ["@/lib/retrieval/x", "@/lib/turn/x", "@/db/x", "@/lib/env"],
    ["@/lib/log/x", "@/lib/services/x", "@ai-sdk/provider"],
  ],
  [
    "lib/retrieval/file.ts",
    ["@/db/x", "@/lib/turn/x", "@/lib/env"],
    ["@/lib/models/x", "@/lib/services/x", "drizzle-orm"],
  ],
  ["lib/models/file.ts", ["@/lib/turn/x", "@/lib/env", "@ai-sdk/openai"], ["@/db/x", "@/lib/log/x", "react", "next"]],
  [
    "packages/client/src/file.ts",
    ["./x.ts", "../../../lib/turn/x.ts", "eventsource-parser", "react"],
    ["@/lib/turn/x", "@/components/x", "../../../lib/env.ts", "../x.ts", "react-dom", "next/link"],
  ],
  ["lib/turn/file.ts", ["./x", "ai"], ["@/lib/env", "@/db/x", "@ai-sdk/provider", "@ai-sdk/react", "next"]],
  [
    "db/file.ts",
    ["./x", "@/lib/process-singletons", "drizzle-orm/pg-core", "postgres"],
    ["@/lib/env", "@/lib/turn/x", "next/server", "react-dom"],
  ],
  ["lib/file.ts", ["./x", "zod"], ["@/db/x", "@/lib/turn/x", "@/app/x", "next/server", "next-auth/jwt"]],
  [
    "lib/auth.ts",
    ["./x", "@/db/x", "next-auth", "next-auth/jwt"],
    ["@/lib/services/x", "@/app/x", "drizzle-orm", "react"],
  ],
  ["lib/limits.ts", ["./x", "@/db/x"], ["@/lib/services/x", "@/app/x", "drizzle-orm", "react"]],
  ["lib/stream-slots.ts", ["./x", "@/db/x"], ["@/lib/services/x", "@/app/x", "drizzle-orm", "react"]],
  ["scripts/file.ts", ["./x", "@/db/x", "@/lib/log/x", "drizzle-orm", "@ai-sdk/openai"], ["../db/x"]],
  ["lib/log/file.test.ts", ["@/test/x", "@/lib/models/x", "drizzle-orm"], ["../services/x"]],
];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "rivulet-imports-"));
  // The project's own configuration: its aliases are part of what is tested.
  for (const name of ["biome.json", "package.json", "tsconfig.json", ".gitignore"])
    await copyFile(path.join(root, name), path.join(folder, name));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function write(file: string, lines: string[]): void {
  mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
  writeFileSync(path.join(folder, file), `${lines.join("\n")}\n`);
}

/** One rule's findings in one file, with line and message. */
function findings(rule: string, file: string): { line: number; message: string }[] {
  const argv = ["lint", `--only=${rule}`, "--reporter=github", file];
  const { status, stdout, stderr } = spawnSync(biome, argv, { cwd: folder, encoding: "utf8" });
  const lines = [...stdout.matchAll(/^::error title=lint\/[^,]*,file=[^,]*,line=(\d+),[^:]*::(.*)$/gm)];
  if (status !== 0 && lines.length === 0) throw new Error(`Biome did not run: ${stderr}`);
  return lines.map(([, line, message]) => ({ line: Number(line), message: message ?? "" }));
}

test.each(cases)("%s may import what its module is allowed to and nothing else", (file, allowed, refused) => {
  const sources = [...allowed, ...refused];
  write(
    file,
    sources.map((source) => `import type {} from ${JSON.stringify(source)};`),
  );
  const found = findings("style/noRestrictedImports", file);
  expect(found.map(({ line }) => sources[line - 1])).toEqual(refused);
  // Each message states the rule; Biome's default only says that something is forbidden.
  for (const { message } of found) expect(message).toMatch(/may import|imported as|Vendor imports/);
});

test("rejects import cycles, even of types only", () => {
  write("lib/log/one.ts", [`import type { Two } from "@/lib/log/two";`, "export type One = Two | 1;"]);
  write("lib/log/two.ts", [`import type { One } from "./one";`, "export type Two = One | 2;"]);
  expect(findings("suspicious/noImportCycles", "lib/log").map(({ line }) => line)).toEqual([1, 1]);
});
