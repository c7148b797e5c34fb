// Every environment variable the server reads, parsed once, with its default (README, configuration
// table). Read on first use, never at import: `next build` evaluates modules without a
// configuration.

import { z } from "zod";
import { processSingleton } from "./process-singletons";

/** `min`: a smaller value would break the server, so it is a mistake. */
const milliseconds = (fallback: number, min: number) =>
  z.coerce.number().int().min(min, `must be at least ${min} (milliseconds)`).max(3_600_000).default(fallback);
/** Behind a proxy it takes a few health checks until requests stop arriving. */
const proxyDelayMs = 2_000;
const count = (fallback: number) => z.coerce.number().int().positive().max(1_000_000_000).default(fallback);
const budget = z.union([z.literal("off"), z.coerce.number().int().positive()]).optional();
const onOff = z.enum(["on", "off"]).default("on");
/** A number multiplies every limit. */
const rateLimits = z
  .union([z.enum(["on", "off"]), z.coerce.number().positive().max(1_000)], "must be `on`, `off` or a positive number")
  .default("on");
const list = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((value) =>
      value
        .split(",")
        .map((item) => item.trim())
        .filter(Boolean),
    );

/**
 * A secret that can be attacked offline from one cookie needs more bits than people invent;
 * requiring 32 characters prevents most mistakes.
 */
const secret = z.string().min(32, "must have at least 32 characters. `openssl rand -base64 32` makes one").optional();

const address = z.url({ protocol: /^https?$/ }).optional();

const variables = z.object({
  DATABASE_URL: z.string().optional(),
  AUTH_SECRET: secret,
  AUTH_SECRET_PREVIOUS: secret,
  MODELS: list(""),
  MODELS_FILE: z.string().optional(),
  EMBEDDING_MODELS: list(""),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: address,
  OPENAI_API: z.enum(["responses", "chat"]).optional(),
  OPENAI_BACKGROUND: z.enum(["on", "off"]).default("off"),
  OLLAMA_BASE_URL: address,
  ANTHROPIC_API_KEY: z.string().optional(),
  ANTHROPIC_BASE_URL: address,
  GOOGLE_GENERATIVE_AI_API_KEY: z.string().optional(),
  GOOGLE_GENERATIVE_AI_BASE_URL: address,
  MISTRAL_API_KEY: z.string().optional(),
  MISTRAL_BASE_URL: address,
  DEEPSEEK_API_KEY: z.string().optional(),
  DEEPSEEK_BASE_URL: address,
  GROQ_API_KEY: z.string().optional(),
  GROQ_BASE_URL: address,
  XAI_API_KEY: z.string().optional(),
  XAI_BASE_URL: address,
  OPENROUTER_API_KEY: z.string().optional(),
  OPENROUTER_BASE_URL: address,
  AZURE_API_KEY: z.string().optional(),
  AZURE_RESOURCE_NAME: z.string().optional(),
  AZURE_BASE_URL: address,
  AWS_BEARER_TOKEN_BEDROCK: z.string().optional(),
  AWS_ACCESS_KEY_ID: z.string().optional(),
  AWS_SECRET_ACCESS_KEY: z.string().optional(),
  AWS_SESSION_TOKEN: z.string().optional(),
  AWS_REGION: z.string().optional(),
  BEDROCK_BASE_URL: address,
  TOOLS: onOff,
  PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  ALLOWED_HOSTS: list(""),
  TRUST_PROXY: z.coerce.number().int().min(0).max(10).default(0),
  CORS_ORIGINS: list(""),
  GUESTS: z.enum(["on", "off"]).optional(),
  SIGN_UP: z.enum(["open", "invite", "off"]).default("open"),
  ADMIN_EMAILS: list("").transform((emails) => emails.map((email) => email.toLowerCase())),
  GUEST_DAYS: z.coerce.number().int().min(1).max(3_650).default(30),
  RATE_LIMITS: rateLimits,
  MAX_OPEN_STREAMS: count(50),
  MAX_CHATS: count(10_000),
  MAX_ACCESS_TOKENS: count(100),
  MAX_DOCUMENTS: count(1_000),
  MAX_STORED_BYTES: z.coerce.number().int().positive().default(1_073_741_824),
  MAX_RUNNING_TURNS: count(5),
  MAX_TURN_CHARACTERS: count(1_000_000),
  MAX_OUTPUT_TOKENS: count(16_384),
  BUDGET_USER_TOKENS_PER_DAY: budget,
  BUDGET_GUEST_TOKENS_PER_DAY: budget,
  BUDGET_ALL_GUESTS_TOKENS_PER_DAY: budget,
  BUDGET_SERVER_TOKENS_PER_DAY: budget,
  HEARTBEAT_MS: milliseconds(15_000, 50),
  // A lease is renewed every third of it, which must fit a commit on a busy process.
  LEASE_MS: milliseconds(10_000, 500),
  DRAIN_MS: milliseconds(20_000, 100),
  READY_DELAY_MS: z.coerce.number().int().min(0).max(3_600_000).optional(),
  // Servers load a model on the first request, which takes minutes; an aborted call makes some
  // start over.
  FIRST_CHUNK_TIMEOUT_MS: milliseconds(300_000, 50),
  CHUNK_TIMEOUT_MS: milliseconds(60_000, 50),
  TURN_DEADLINE_MS: milliseconds(900_000, 1_000),
  CONTINUE_INTERRUPTED: z.enum(["ask", "auto"]).default("ask"),
  LOG_PROVIDER_ERRORS: z.enum(["on", "off"]).default("off"),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
});

const schema = variables.transform(({ READY_DELAY_MS, ...values }) => ({
  ...values,
  READY_DELAY_MS: READY_DELAY_MS ?? (values.TRUST_PROXY > 0 ? proxyDelayMs : 0),
}));

/**
 * A page under development usually runs on its own server. In production other origins must be
 * listed.
 */
const developmentOrigins = "http://localhost:3000,http://localhost:8080";

export type Env = z.infer<typeof schema>;

/** Throws naming the invalid variables. An empty variable counts as unset. */
export function parseEnv(source: Record<string, string | undefined>): Env {
  const set = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ""));
  if (source.NODE_ENV === "development") set.CORS_ORIGINS ??= developmentOrigins;
  // On Vercel the platform writes the forwarded headers, and clients cannot bypass it.
  if (source.VERCEL) set.TRUST_PROXY ??= "1";
  const result = schema.safeParse(set);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`The configuration is not valid. ${problems.join("; ")}`);
}

/** Shared, because claimed variables are no longer in process.env. */
export const env = processSingleton<Env>("env", () => parseEnv(process.env));

/**
 * Variables that the providers' SDKs read by themselves. For AWS only these: the platform sets
 * others with that prefix.
 */
const providerVariables =
  /^(?:(?:AI_GATEWAY|ANTHROPIC|AZURE|DEEPSEEK|GOOGLE|GROQ|MISTRAL|OPENAI|OPENROUTER|XAI)_|AWS_(?:ACCESS_KEY_ID|BEARER_TOKEN_BEDROCK|ENDPOINT_URL|REGION|SECRET_ACCESS_KEY|SESSION_TOKEN))/;

const claimedVariables = processSingleton<Record<string, string>>("claimed-environment", () => ({}));

/**
 * Parses the configuration and removes the providers' variables from process.env, so that no SDK
 * reads one on its own: an empty OPENAI_BASE_URL makes OpenAI's SDK fail on load. Call before
 * loading any SDK. Throws like parseEnv.
 */
export function claimEnvironment(): Env {
  const values = env();
  const claimed = claimedVariables();
  for (const [name, value] of Object.entries(process.env)) {
    if (!providerVariables.test(name)) continue;
    claimed[name] = value ?? "";
    delete process.env[name];
  }
  return values;
}

/** A variable named by models.json, claimed or not. Undefined if unset or empty. */
export function variable(name: string): string | undefined {
  return claimedVariables()[name] || process.env[name] || undefined;
}
