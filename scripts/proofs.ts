// Maps tests to the promises of docs/reliability.md: a test or describe title that begins "I5 I2:
// …" names them. Reads the reports of Vitest and Playwright and builds the table of `npm run
// chaos`.

/** A test as reported. */
export type Proof = {
  /** Including the titles of enclosing blocks. */
  title: string;
  /** Neither skipped nor flaky. */
  passed: boolean;
  /** Number of checked cases: `task.meta.cases` in Vitest, an annotation `cases` in Playwright. */
  cases: number;
};

/** Matches a test that proves a promise. */
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

/** The promises by number, with their names, as docs/reliability.md lists them. */
export function listPromises(document: string): [promise: string, name: string][] {
  return Array.from(document.matchAll(/^\| (I\d+) \| \*\*([^*]+?)\.?\*\*/gm), ([, promise = "", name = ""]) => [
    promise,
    name,
  ]);
}

/** The table as Markdown, and the number of promises without a proof: those do not hold. */
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
