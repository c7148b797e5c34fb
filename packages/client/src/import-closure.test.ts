// Each entry of the package loads only what it needs: no React outside the hook, and no AI SDK
// without the transport.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const root = path.join(import.meta.dirname, "../../..");
const require = createRequire(import.meta.url);

/** The project files and packages that this file loads at run time; type imports do not count. */
function closureOf(entry: string): { files: string[]; packages: string[] } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    const { outputText } = ts.transpileModule(readFileSync(path.join(root, file), "utf8"), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true },
    });
    for (const { fileName } of ts.preProcessFile(outputText).importedFiles) {
      if (fileName.startsWith(".")) visit(path.join(path.dirname(file), fileName));
      else packages.add(fileName);
    }
  };
  visit(entry);
  return { files: [...files].sort(), packages: [...packages].sort() };
}

/** The package with its transitive dependencies. */
function installedWith(name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found;
  found.add(name);
  const manifest = require.resolve
    .paths(name)
    ?.map((folder) => path.join(folder, name, "package.json"))
    .find(existsSync);
  if (!manifest) throw new Error(`${name} is not installed`);
  for (const each of Object.keys(JSON.parse(readFileSync(manifest, "utf8")).dependencies ?? {}))
    installedWith(each, found);
  return found;
}

test("the main entry needs three packages and only pure functions of lib/turn", () => {
  const { files, packages } = closureOf("packages/client/src/index.ts");
  expect(packages).toEqual(["eventsource-parser", "uuid", "zod"]);
  const outside = files.filter((file) => !file.startsWith("packages/client/src/"));
  expect(outside).toEqual(["lib/turn/chunks.ts", "lib/turn/cursor.ts"]);
});

test("the hook adds React and nothing else", () => {
  expect(closureOf("packages/client/src/use-chat-stream.ts").packages).toEqual([
    "eventsource-parser",
    "react",
    "uuid",
    "zod",
  ]);
});

test.each(["transport", "index"])("%s needs neither React nor Next", (entry) => {
  const { files, packages } = closureOf(`packages/client/src/${entry}.ts`);
  expect(files.filter((file) => !/^(packages\/client\/src|lib\/turn)\//.test(file))).toEqual([]);
  const installed = packages.flatMap((name) => [...installedWith(name)]);
  expect(installed).toContain("zod");
  expect(installed.filter((name) => /^(react|react-dom|next|next-auth|@ai-sdk\/react)$/.test(name))).toEqual([]);
});
