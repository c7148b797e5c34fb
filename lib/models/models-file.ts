// The operator's `models.json` (MODELS_FILE): named OpenAI-compatible servers, and abilities of
// single models. The only place that parses it.
import { readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { abilities } from "./abilities";

const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, "must be the name of an environment variable");
const modelName = z.string().min(1).max(200);

const server = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, "must be lowercase letters, digits and hyphens, and begin with a letter"),
  title: z.string().min(1).max(60).optional(),
  baseUrl: z.url({ protocol: /^https?$/, error: "must be an address that begins with http:// or https://" }),
  apiKeyVariable: variableName.optional(),
  headers: z
    .record(z.string(), z.string())
    .refine(areHeaders, "must contain names and values of HTTP headers")
    .optional(),
  query: z.record(z.string(), z.string()).optional(),
  api: z.enum(["chat", "responses"]).default("chat"),
  models: z
    .array(
      z.strictObject({ id: modelName, label: z.string().min(1).max(100).optional(), abilities: abilities.optional() }),
    )
    .min(1)
    .max(1_000)
    .optional(),
});

const file = z.strictObject({
  servers: z.array(server).max(100).default([]),
  abilities: z.record(z.string(), abilities).default({}),
});

export type ServerEntry = z.infer<typeof server>;
export type ModelsFile = z.infer<typeof file>;

export const noModelsFile: ModelsFile = { servers: [], abilities: {} };

/** Read without MODELS_FILE, if it exists. */
const usualName = "models.json";
/** A larger file must be something else. */
const maxCharacters = 1_000_000;

/**
 * Reads the file at `named`, or `models.json` in the working directory if it exists. Throws a
 * one-sentence error naming the file and the field.
 */
export function readModelsFile(named: string | undefined, reserved: Iterable<string>): ModelsFile {
  const name = named ?? usualName;
  let text: string;
  try {
    text = readFileSync(path.resolve(/* turbopackIgnore: true */ process.cwd(), name), "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" && named === undefined) return noModelsFile;
    throw new Error(`${name} cannot be read (${code}).`, { cause });
  }
  return parseModelsFile(text, name, reserved);
}

/** `reserved`: provider names a server may not use. */
export function parseModelsFile(text: string, name: string, reserved: Iterable<string>): ModelsFile {
  if (text.length > maxCharacters) throw new Error(`${name} is larger than ${maxCharacters} characters.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote the file, which may hold keys.
    throw new Error(`${name} is not JSON.`);
  }
  const result = file.safeParse(value);
  const problems = result.success
    ? repeatedNames(result.data.servers, reserved)
    : result.error.issues.map((issue) => `${placeOf(issue.path)}: ${issue.message}`);
  if (!result.success || problems.length > 0)
    throw new Error(`${name} is not valid. ${problems.slice(0, 5).join("; ")}`);
  return result.data;
}

function repeatedNames(servers: ServerEntry[], reserved: Iterable<string>): string[] {
  const used = new Set(reserved);
  return servers.flatMap(({ name }, index) => {
    const problem = `servers[${index}].name: ${JSON.stringify(name)} is taken by another provider or server`;
    const isTaken = used.has(name);
    used.add(name);
    return isTaken ? [problem] : [];
  });
}

/** In code notation: `servers[0].models[2].id`. */
function placeOf(keys: PropertyKey[]): string {
  const place = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return place.replace(/^\./, "") || "the file";
}

function areHeaders(headers: Record<string, string>): boolean {
  try {
    new Headers(headers);
    return true;
  } catch {
    // The schema reports it.
    return false;
  }
}
