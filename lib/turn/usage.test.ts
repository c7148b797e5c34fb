import { expect, it } from "vitest";
import { priced } from "./usage";

it("prices prompt and answer tokens separately, to a millionth of a dollar", () => {
  const usage = { inputTokens: 12_345, outputTokens: 678, totalTokens: 13_023 };
  expect(priced(usage, { inputUsd: 0.3, outputUsd: 2.5 })).toEqual({ ...usage, costUsd: 0.005399 });
  expect(priced(usage, { inputUsd: 0, outputUsd: 0 })).toEqual({ ...usage, costUsd: 0 });
  expect(priced(usage, undefined)).toBe(usage);
});
