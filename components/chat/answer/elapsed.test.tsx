import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { Elapsed, wholeSeconds } from "./elapsed";

test.each([
  [-5, "0 s"],
  [3_999, "3 s"],
  [59_999, "59 s"],
  [60_000, "1 min 0 s"],
  [754_000, "12 min 34 s"],
])("%i ms are shown as %s", (ms, shown) => expect(wholeSeconds(ms)).toBe(shown));

test("elapsed time is not announced to screen readers", () => {
  expect(renderToString(<Elapsed sinceMs={performance.now() - 61_000} />)).toMatch(/aria-hidden="true".*>1 min 1 s</);
});
