// The limits of a process, whichever bundle made the counters.
import { createRequire } from "node:module";
import { RateLimiterRes } from "rate-limiter-flexible";
import { expect, it } from "vitest";
import { refund, spend } from "./quota";

it("refuses by counters that another bundle's copy of the library made", async () => {
  const require = createRequire(import.meta.url);
  for (const file of Object.keys(require.cache)) if (file.includes("rate-limiter-flexible")) delete require.cache[file];
  const other = require("rate-limiter-flexible") as typeof import("rate-limiter-flexible");
  expect(other.RateLimiterRes).not.toBe(RateLimiterRes);
  const counters = { signIn: new other.RateLimiterMemory({ points: 1, duration: 60 }) };
  Object.assign(globalThis, { [Symbol.for("rivulet.quota")]: counters });
  await spend("signIn", "somebody");
  await expect(spend("signIn", "somebody")).rejects.toMatchObject({ code: "rate_limited", retryAfter: 60 });
  await refund("signIn", "somebody");
  await refund("signIn", "somebody");
  await spend("signIn", "somebody");
});
