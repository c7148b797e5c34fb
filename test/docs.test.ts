// Checks the documents against the code: configuration, file names, lengths.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parseEnv } from "@/lib/env";
import { listPromises, promisesOf } from "@/scripts/proofs";
import { slowFolders, slowTests } from "@/scripts/slow-tests";

const root = path.dirname(import.meta.dirname);
const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const groups = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), (match) => match[1] ?? "");

/** Variable → default from the first two columns; null for `unset`. */
function documentedVariables(): Record<string, string | null> {
  const section = read("README.md").split("## Configuration")[1]?.split("\n## ")[0] ?? "";
  const rows = section.matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]+)`|unset) \|/gm);
  return Object.fromEntries(Array.from(rows, ([, name, value]) => [name, value ?? null]));
}

/** From the server's schema and the launcher. */
function realVariables(): Record<string, string | null> {
  const defaults = parseEnv({}) as Record<string, unknown>;
  const server = groups(read("lib/env.ts"), /^ {2}([A-Z_]+):/gm).map((name) => {
    const value = defaults[name];
    return [name, value === undefined || String(value) === "" ? null : String(value)];
  });
  const launcher = Array.from(
    read("scripts/start.ts").matchAll(/process\.env\.(PORT|HOST|DATA_DIR) \|\| (?:"([^"]+)"|undefined)/g),
    ([, name, value]) => [name, value ?? null],
  );
  return Object.fromEntries([...server, ...launcher]);
}

test("README's configuration table lists every variable with its default", () => {
  expect(documentedVariables()).toEqual(realVariables());
});

test(".env.example lists every variable once, with its default if it has one", () => {
  const rows = Array.from(read(".env.example").matchAll(/^# ([A-Z_]+)=(.*)$/gm), ([, name, value]) => ({
    name,
    value,
  }));
  const real = realVariables();
  expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(real).sort());
  const fixed = rows.filter(({ name }) => real[name ?? ""] !== null);
  expect(fixed).toEqual(fixed.map(({ name }) => ({ name, value: real[name ?? ""] })));
});

test("the launcher reads only documented variables", () => {
  const names = groups(read("scripts/start.ts"), /process\.env\.([A-Z][A-Z_]*)/g);
  expect(Object.keys(documentedVariables())).toEqual(expect.arrayContaining(names));
});

const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "packages/client/README.md",
].concat(
  readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => path.join("docs", file)),
);

describe.each(documents)("%s", (file) => {
  const text = read(file);

  test("names only existing files", () => {
    const folders = "app|components|db|docs|e2e|lib|packages|scripts|test";
    // A recipe's example adds files.
    const prose = text.replace(/^```diff .*?^```$/gms, "");
    const named = groups(
      prose,
      new RegExp(`\`((?:${folders})/[^\`\\s]*|[\\w.-]+\\.(?:cmd|json|md|mjs|ts|tsx))\``, "g"),
    );
    // Skips globs, a file name without its folder, and a file that operators write.
    const places = named.filter((name) => !name.includes("*") && name !== "route.ts" && name !== "models.json");
    expect(places.filter((place) => !existsSync(path.join(root, place)))).toEqual([]);
  });

  test("links only to existing files", () => {
    const targets = groups(text, /\]\((?!https?:)([^)#\s]+)/g).map((target) => path.join(path.dirname(file), target));
    expect(targets.filter((target) => !existsSync(path.join(root, target)))).toEqual([]);
  });
});

describe("docs/reliability.md", () => {
  const document = read("docs/reliability.md");
  const promises = listPromises(document).map(([promise]) => promise);
  const folders = ["app", "components", "db", "e2e", "examples", "lib", "packages/client/src", "scripts", "test"];
  /** The promises at the beginning of test titles. */
  const proved = new Map(
    folders
      .flatMap((folder) =>
        readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
          path.join(folder, name),
        ),
      )
      .filter((file) => /\.(test|spec|contract)\.tsx?$/.test(file))
      .map((file) => [file, promisesOf(groups(read(file), /["'`]((?:I\d+ )*I\d+): /g).join(" "))]),
  );

  test("lists I1 to I24", () => {
    expect(promises).toEqual(Array.from({ length: 24 }, (_, index) => `I${index + 1}`));
  });

  test("names tests for every promise, and their titles name it too", () => {
    for (const promise of promises) {
      const row = document.split("\n").find((line) => line.startsWith(`| ${promise} | **`));
      const files = groups(row ?? "", /`([^`]+\.(?:test|spec|contract)\.tsx?)`/g);
      expect([promise, files.length > 0]).toEqual([promise, true]);
      expect([promise, files.filter((file) => !proved.get(file)?.includes(promise))]).toEqual([promise, []]);
    }
  });

  test("`npm test` proves every promise, without the slow tests", () => {
    for (const file of slowTests) expect([file, existsSync(path.join(root, file))]).toEqual([file, true]);
    const quick = [...proved].filter(
      ([file]) => !slowTests.includes(file) && !slowFolders.some((folder) => file.startsWith(folder)),
    );
    const named = new Set(quick.flatMap(([, each]) => each));
    expect(promises.filter((promise) => !named.has(promise))).toEqual([]);
  });

  test("lists every promise that a title names", () => {
    const named = [...proved.values()].flat();
    expect(promises).toEqual(expect.arrayContaining([...new Set(named)]));
  });
});

test("ARCHITECTURE.md and the decisions stay within their line limits", () => {
  const lines = (file: string) => read(file).trimEnd().split("\n").length;
  expect(lines("ARCHITECTURE.md")).toBeLessThanOrEqual(150);
  const decisions = documents.filter((file) => file.startsWith("docs/decisions/"));
  expect(decisions.filter((file) => lines(file) > 40)).toEqual([]);
  expect(decisions.length).toBeGreaterThan(0);
});

test("docs/providers.md names existing test cases", () => {
  const section = read("docs/providers.md").split("## Answers")[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| ") && !line.includes("| case |"));
  const cases = rows.map((row) => row.split(" | ").at(-1) ?? "");
  const folder = "lib/models";
  const tests = readdirSync(path.join(root, folder)).filter((file) => file.endsWith(".test.ts"));
  const answers = ["test/provider-text-answers.ts", "test/provider-call-answers.ts"];
  const code = [...tests.map((file) => path.join(folder, file)), ...answers].map(read).join("\n");
  const named = cases.flatMap((text) => groups(text, /"([^"]+)"/g));
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter((name) => !code.includes(`"${name}"`))).toEqual([]);
  expect(cases.filter((text) => !/"[^"]+"|`[^`]+\.test\.ts`/.test(text))).toEqual([]);
});

describe("docs/clients.md", () => {
  const rows = read("docs/clients.md")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, "")));

  test("names a test for every client", () => {
    const places = rows.map((row) => /^`(test\/clients\/[\w.-]+)` "([^"]+)"$/.exec(row.at(-1) ?? ""));
    expect(rows.filter((_, index) => !places[index])).toEqual([]);
    const missing = places.filter((place) => !read(place?.[1] ?? "").includes(`"${place?.[2]}`));
    expect(missing).toEqual([]);
  });

  test("names every installed client with its version", () => {
    const { packages } = JSON.parse(read("test/clients/package-lock.json"));
    const beside = ["@langchain/core", "@llamaindex/core", "@llamaindex/env", "jsdom", "react", "react-dom", "zod"];
    const installed = Object.keys(packages[""].dependencies)
      .filter((alias) => !beside.includes(alias))
      .map((alias) => {
        const { name = alias, version } = packages[`node_modules/${alias}`];
        return `\`${name}\` ${version}`;
      });
    const text = rows.map(([client, version, works]) => `${client} ${version}, ${works}`).join("\n");
    expect(installed.filter((client) => !text.includes(client))).toEqual([]);
    const named = rows
      .filter(([, version = ""]) => /^\d/.test(version))
      .map(([client, version]) => `${client} ${version}`);
    expect(named.filter((client) => !installed.includes(client))).toEqual([]);
  });
});
