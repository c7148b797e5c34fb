import { expect, it } from "vitest";
import { claimEnvironment, env, parseEnv } from "./env";

it("has the documented defaults", () => {
  expect(parseEnv({})).toEqual({
    MODELS: [],
    EMBEDDING_MODELS: [],
    OPENAI_BACKGROUND: "off",
    ALLOWED_HOSTS: [],
    TRUST_PROXY: 0,
    CORS_ORIGINS: [],
    TOOLS: "on",
    GUEST_DAYS: 30,
    SIGN_UP: "open",
    ADMIN_EMAILS: [],
    RATE_LIMITS: "on",
    MAX_OPEN_STREAMS: 50,
    MAX_CHATS: 10_000,
    MAX_ACCESS_TOKENS: 100,
    MAX_DOCUMENTS: 1_000,
    MAX_STORED_BYTES: 1_073_741_824,
    MAX_RUNNING_TURNS: 5,
    MAX_TURN_CHARACTERS: 1_000_000,
    MAX_OUTPUT_TOKENS: 16_384,
    HEARTBEAT_MS: 15_000,
    LEASE_MS: 10_000,
    DRAIN_MS: 20_000,
    READY_DELAY_MS: 0,
    FIRST_CHUNK_TIMEOUT_MS: 300_000,
    CHUNK_TIMEOUT_MS: 60_000,
    TURN_DEADLINE_MS: 900_000,
    CONTINUE_INTERRUPTED: "ask",
    LOG_PROVIDER_ERRORS: "off",
    LOG_LEVEL: "info",
  });
});

it("delays shutdown after readiness fails behind a proxy, unless configured otherwise", () => {
  expect(parseEnv({ TRUST_PROXY: "1" }).READY_DELAY_MS).toBe(2_000);
  expect(parseEnv({ TRUST_PROXY: "1", READY_DELAY_MS: "0" }).READY_DELAY_MS).toBe(0);
  expect(parseEnv({ READY_DELAY_MS: "500" }).READY_DELAY_MS).toBe(500);
});

it("allows other local origins for the dialects only in development", () => {
  const origins = (source: Record<string, string>) => parseEnv(source).CORS_ORIGINS;
  expect(origins({ NODE_ENV: "development" })).toEqual(["http://localhost:3000", "http://localhost:8080"]);
  expect(origins({ NODE_ENV: "development", CORS_ORIGINS: "https://a.example" })).toEqual(["https://a.example"]);
  expect(origins({ NODE_ENV: "production" })).toEqual([]);
});

it("accepts a factor for limits", () => {
  const limits = (RATE_LIMITS: string) => parseEnv({ RATE_LIMITS }).RATE_LIMITS;
  expect(["on", "off", "2", "0.5"].map(limits)).toEqual(["on", "off", 2, 0.5]);
});

it("trusts the platform's forwarded headers on Vercel", () => {
  expect(parseEnv({ VERCEL: "1" }).TRUST_PROXY).toBe(1);
  expect(parseEnv({ VERCEL: "1", TRUST_PROXY: "2" }).TRUST_PROXY).toBe(2);
});

it("treats an empty variable as unset", () => {
  const names = ["DATABASE_URL", "OPENAI_BASE_URL", "OPENAI_API", "GUESTS", "HEARTBEAT_MS", "MODELS", "LOG_LEVEL"];
  expect(parseEnv(Object.fromEntries(names.map((name) => [name, ""])))).toEqual(parseEnv({}));
});

it("reads known variables and ignores others", () => {
  const set = {
    MODELS: " openai:gpt-5-mini, ollama:llama3.2:3b,,local ",
    HEARTBEAT_MS: "500",
    GUESTS: "off",
    PATH: "/",
  };
  const env = parseEnv(set);
  expect(env).toMatchObject({
    MODELS: ["openai:gpt-5-mini", "ollama:llama3.2:3b", "local"],
    HEARTBEAT_MS: 500,
    GUESTS: "off",
  });
  expect(env).not.toHaveProperty("PATH");
});

it.each([
  ["HEARTBEAT_MS", "soon"],
  ["HEARTBEAT_MS", "0"],
  ["LEASE_MS", "-1"],
  ["LEASE_MS", "1"],
  ["LEASE_MS", "499"],
  ["HEARTBEAT_MS", "1"],
  ["DRAIN_MS", "1"],
  ["CHUNK_TIMEOUT_MS", "1"],
  ["TURN_DEADLINE_MS", "999"],
  ["LOG_PROVIDER_ERRORS", "yes"],
  ["DRAIN_MS", "1.5"],
  ["CHUNK_TIMEOUT_MS", "3600001"],
  ["FIRST_CHUNK_TIMEOUT_MS", " "],
  ["OPENAI_BASE_URL", "not a url"],
  ["OLLAMA_BASE_URL", "localhost"],
  ["OPENAI_API", "completions"],
  ["PUBLIC_URL", "chat.example.com"],
  ["PUBLIC_URL", "ftp://chat.example.com"],
  ["TRUST_PROXY", "-1"],
  ["TRUST_PROXY", "yes"],
  ["GUESTS", "yes"],
  ["SIGN_UP", "closed"],
  ["MAX_OUTPUT_TOKENS", "0"],
  ["MAX_TURN_CHARACTERS", "many"],
  ["AUTH_SECRET", "31-characters-are-one-too-few--"],
  ["AUTH_SECRET_PREVIOUS", "short"],
  ["RATE_LIMITS", "ON"],
  ["RATE_LIMITS", "0"],
  ["RATE_LIMITS", "-1"],
  ["LOG_LEVEL", "loud"],
])("rejects %s by name when it is %j", (name, value) => {
  expect(() => parseEnv({ [name]: value })).toThrow(name);
});

it("gives the minimum and unit of a duration", () => {
  expect(() => parseEnv({ LEASE_MS: "1" })).toThrow("LEASE_MS: must be at least 500 (milliseconds)");
});

it("I22: names all invalid variables at once, without their values", () => {
  const wrong = { GUESTS: "secret-1", OPENAI_BASE_URL: "secret-2", LEASE_MS: "secret-3" };
  let message = "";
  try {
    parseEnv(wrong);
  } catch (error) {
    message = (error as Error).message;
  }
  for (const name of Object.keys(wrong)) expect(message).toContain(name);
  expect(message).not.toContain("secret");
});

it("removes provider variables from the environment and keeps their values", () => {
  const { OPENAI_API_KEY, ANTHROPIC_API_KEY } = process.env;
  Object.assign(process.env, { OPENAI_API_KEY: "sk-test", ANTHROPIC_API_KEY: "sk-other" });
  try {
    expect(claimEnvironment().OPENAI_API_KEY).toBe("sk-test");
    expect(env().OPENAI_API_KEY).toBe("sk-test");
    expect(process.env).not.toHaveProperty("OPENAI_API_KEY");
    expect(process.env).not.toHaveProperty("ANTHROPIC_API_KEY");
  } finally {
    Object.assign(process.env, {
      ...(OPENAI_API_KEY && { OPENAI_API_KEY }),
      ...(ANTHROPIC_API_KEY && { ANTHROPIC_API_KEY }),
    });
  }
});
