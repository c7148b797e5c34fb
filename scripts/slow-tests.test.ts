// `npm test` leaves out the slow tests and nothing else.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { slowJourneys, slowTests } from "./slow-tests";

function listed(argv: string[], env: Record<string, string>, file: RegExp): string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`The tests could not be listed: ${stderr}`);
  return [...new Set(stdout.match(file))].sort();
}

test("Vitest", () => {
  const argv = [
    "node_modules/vitest/vitest.mjs",
    "list",
    "--filesOnly",
    "--project=unit",
    "--project=server*",
    "--project=chaos*",
  ];
  const files = (quick: string) => listed(argv, { QUICK_TESTS: quick }, /\S+\.test\.tsx?$/gm);
  const slow = slowTests.filter((name) => !name.startsWith("e2e/"));
  expect(files("on")).toEqual(files("").filter((name) => !slow.includes(name)));
  expect(files("")).toEqual(expect.arrayContaining(slow));
});

test("Playwright", () => {
  const argv = ["node_modules/playwright/cli.js", "test", "--config=e2e/playwright.config.ts", "--list"];
  const files = (...selection: string[]) => listed([...argv, ...selection], {}, /[\w-]+\.spec\.ts/g);
  const slow = slowTests.filter((name) => name.startsWith("e2e/")).map((name) => name.slice("e2e/".length));
  expect(files("--grep-invert", slowJourneys)).toEqual(files().filter((name) => !slow.includes(name)));
  expect(files()).toEqual(expect.arrayContaining(slow));
});
