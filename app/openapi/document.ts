// The API description, OpenAPI 3.1, generated from the request schemas and the dialect registry.
// Served at /openapi.json, rendered at /reference. native-operations.ts describes native
// operations; dialects describe themselves.
import { z } from "zod";
import { createDocument } from "zod-openapi";
import type { Dialect } from "@/lib/dialects/dialect";
import { registry } from "@/lib/dialects/registry";
import { chatEvent, testEvent } from "./answers";
import { dialectPaths } from "./dialect-operations";
import { nativePaths } from "./native-operations";
import { eventName } from "./shared-responses";

const tags = [
  { name: "Chat", description: "Ask, follow, stop: in the AI SDK's format." },
  { name: "Turns", description: "One run that answers one message. It continues without a reader." },
  { name: "Chats", description: "Conversations." },
  { name: "Documents", description: "What answers may cite." },
  { name: "Models", description: "What can be asked." },
  { name: "Accounts", description: "Users, sessions and access tokens." },
  { name: "Server", description: "The process itself." },
];

const description = `Every answer is a durable, resumable stream of Server-Sent Events. A connection may end at any time: reconnect
with the \`id\` of the last event as \`Last-Event-ID\`, and the stream resumes after it. A stream that ends without its
format's last event is not finished.

Programs send \`Authorization: Bearer\` with a token of \`POST /api/tokens\`; browsers have the session cookie. The paths of
the dialects work with and without a trailing slash.`;

export type ApiDescription = ReturnType<typeof createDocument>;

/** Version of the protocol, not of the server. */
const version = "1.0.0";

let cached: Promise<ApiDescription> | undefined;

/** The description without `servers`, which depends on the request. Built once. */
export function apiDescription(): Promise<ApiDescription> {
  cached ??= describe(registry.dialects);
  return cached;
}

let cachedJson: Promise<string> | undefined;

/** The description as JSON with this server's address. The shared rest is serialized once. */
export async function apiDescriptionJson(origin: string): Promise<string> {
  cachedJson ??= apiDescription().then((description) => JSON.stringify(description));
  return `{"servers":${JSON.stringify([{ url: origin }])},${(await cachedJson).slice(1)}`;
}

export async function describe(dialects: readonly Dialect[]): Promise<ApiDescription> {
  dialects.forEach(nameSchemas);
  const spoken = dialects.filter(({ routes }) => routes.length > 0);
  return createDocument(
    {
      openapi: "3.1.1",
      info: {
        title: "Rivulet",
        version,
        description,
        license: { name: "MIT", identifier: "MIT" },
      },
      tags: [...tags, ...spoken.map(({ name, description }) => ({ name, description: description?.summary ?? "" }))],
      security: [{ bearer: [] }, { session: [] }],
      paths: { ...nativePaths, ...(await dialectPaths(dialects)) },
      components: {
        securitySchemes: {
          bearer: {
            type: "http",
            scheme: "bearer",
            description: "A personal access token (`rvl_…`), or the JWT of a session.",
          },
          session: {
            type: "apiKey",
            in: "cookie",
            name: "authjs.session-token",
            description: "The browser's session; with TLS its name begins with `__Secure-`.",
          },
        },
        schemas: { ChatEvent: chatEvent, TestEvent: testEvent, ...Object.fromEntries(dialects.flatMap(eventSchema)) },
      },
    },
    { override: plain },
  );
}

/** Only transcripts refer to it, so it must be added explicitly. */
function eventSchema(dialect: Dialect): [string, z.ZodType][] {
  return dialect.description ? [[eventName(dialect), dialect.description.event]] : [];
}

/** Names the body and error schemas of a dialect; two routes may share a body. */
function nameSchemas(dialect: Dialect): void {
  const prefix = eventName(dialect).replace(/Event$/, "");
  const bodies = new Set(dialect.routes.flatMap((route) => (route.kind === "turn" ? [route.body] : [])));
  for (const [index, body] of Array.from(bodies).entries()) name(body, `${prefix}Request${index || ""}`);
  if (dialect.description?.failure) name(dialect.description.failure, `${prefix}Error`);
}

function name(schema: z.ZodType, id: string): void {
  z.globalRegistry.add(schema, { ...schema.meta(), id });
}

/** Drops patterns that a `format` already implies and Zod's default integer bounds: noise. */
function plain({ jsonSchema }: { jsonSchema: Record<string, unknown> }): void {
  if (jsonSchema.format) delete jsonSchema.pattern;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
}
