// Which test proves which promise of docs/reliability.md: a title that begins "I5 I2: …", or that of a describe block
// around it, says so. Reads the reports of Vitest and Playwright and makes the table of `npm run chaos`.

/** A test as a report tells of it. */
export type Proof = {
  /** With the titles around it. */
  title: string;
  /** Not skipped, not flaky. */
  passed: boolean;
  /** What it went through, each checked: `task.meta.cases` in Vitest, an annotation `cases` in Playwright. */
  cases: number;
};

/** A test that proves something. */
export const promised = /\bI\d+\b/;

export function promisesOf(title: string): string[] {
  return [...new Set(title.match(/\bI\d+\b/g))];
}

type VitestReport = {
  testResults: { assertionResults: { fullName: string; status: string; meta?: { cases?: number } }[] }[];
};

export function proofsOfVitest({ testResults }: VitestReport): Proof[] {
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .map(({ fullName, status, meta }) => ({
      title: fullName,
      passed: status === "passed",
      cases: meta?.cases ?? 1,
    }));
}

type PlaywrightSuite = {
  title: string;
  suites?: PlaywrightSuite[];
  specs?: { title: string; tests: { status: string; annotations: { type: string; description?: string }[] }[] }[];
};

export function proofsOfPlaywright({ suites }: { suites: PlaywrightSuite[] }, around = ""): Proof[] {
  return suites.flatMap(({ title, suites: inner = [], specs = [] }) => {
    const path = `${around}${title} `;
    const own = specs.flatMap((spec) =>
      spec.tests.map(({ status, annotations }) => ({
        title: path + spec.title,
        passed: status === "expected",
        cases: Number(annotations.find(({ type }) => type === "cases")?.description ?? 1),
      })),
    );
    return [...own, ...proofsOfPlaywright({ suites: inner }, path)];
  });
}

/** The promises by their number, with their names, as docs/reliability.md lists them. */
export function listPromises(document: string): [promise: string, name: string][] {
  return Array.from(document.matchAll(/^\| (I\d+) \| \*\*([^*]+?)\.?\*\*/gm), ([, promise = "", name = ""]) => [
    promise,
    name,
  ]);
}

/** Markdown, and how many promises no test proves: those are not held. */
export function tableOf(
  promises: [promise: string, name: string][],
  proofs: Proof[],
): { table: string; unproved: number } {
  let unproved = 0;
  const rows = promises.map(([promise, name]) => {
    const own = proofs.filter(({ title }) => promisesOf(title).includes(promise));
    const failed = own.filter(({ passed }) => !passed).length;
    if (own.length === 0) unproved += 1;
    const cases = own.reduce((sum, each) => sum + each.cases, 0);
    const verdict = own.length === 0 ? "no test" : failed > 0 ? `no: ${failed} of ${own.length} tests failed` : "yes";
    return `| ${promise} | ${name} | ${own.length} | ${cases.toLocaleString("en")} | ${verdict} |`;
  });
  return {
    unproved,
    table: ["| promise | what | tests | cases | held |", "|---|---|---:|---:|---|", ...rows].join("\n"),
  };
}
