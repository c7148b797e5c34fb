import { expect, it } from "vitest";
import { parseEnv } from "./env";
import { configurationWarnings, noModelWarning } from "./startup-report";

const ready = { id: "local", ready: true };
const broken = { id: "gpt-5", ready: false, reason: "OPENAI_API_KEY is not set." };

it("names each unusable model and the reason", () => {
  expect(configurationWarnings(parseEnv({}), [ready, broken])).toEqual([
    'The model "gpt-5" of MODELS cannot be used. OPENAI_API_KEY is not set.',
  ]);
  expect(configurationWarnings(parseEnv({}), [ready])).toEqual([]);
});

it("says when there is none left", () => {
  expect(noModelWarning([broken, ready])).toBeNull();
  expect(noModelWarning([broken])).toBe('no model of MODELS can be used. "gpt-5": OPENAI_API_KEY is not set.');
});

it("names a timeout that another one makes ineffective", () => {
  expect(configurationWarnings(parseEnv({ TURN_DEADLINE_MS: "300000", CHUNK_TIMEOUT_MS: "1000" }), [ready])).toEqual([
    "FIRST_CHUNK_TIMEOUT_MS has no effect: TURN_DEADLINE_MS (300000) ends a turn before it.",
  ]);
});
