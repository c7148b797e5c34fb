import { expect, it } from "vitest";
import { keepSecret, leakWatch, promptCanary, takeLeaks } from "./leaks";

const stack = "at handle (/srv/app/.next/server/chunks/12.js:1:23456)";

it("I22: finds a secret split across packets, once, and reports where", () => {
  keepSecret("a key", "sk-canary-of-this-test");
  for (let at = 1; at < 22; at++) {
    const watch = leakWatch("answer", "GET /somewhere");
    watch(`{"error":"${"sk-canary-of-this-test".slice(0, at)}`);
    expect(takeLeaks()).toEqual([]);
    watch(`${"sk-canary-of-this-test".slice(at)}"}`);
    expect(takeLeaks()).toEqual([expect.stringMatching(/^a key in GET \/somewhere: /)]);
  }
});

it("I22: applies separate allowances to server and client", () => {
  leakWatch("answer", "an answer")(`You asked: ${promptCanary}`);
  leakWatch("output", "a log")(`{"stack":"${stack.replace("/srv/app/", "")}"}`);
  leakWatch("answer", "an answer")("Meet me at noon, at the river: 12:30");
  expect(takeLeaks()).toEqual([]);
  leakWatch("output", "a log")(`"prompt":"${promptCanary}"`);
  leakWatch("answer", "an answer")(stack);
  leakWatch("output", "a log")(`Bearer rvl_${"x".repeat(43)}`);
  expect(takeLeaks().map((leak) => leak.split(":")[0])).toEqual([
    "a prompt in a log",
    "a stack in an answer",
    "an access token in a log",
  ]);
});
