// Shapes the API description for the reference: operations by tag, schemas by name, a command per
// operation. Pure.

export type Schema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
};
export type Media = {
  schema?: Schema;
  examples?: Record<string, { summary?: string; value: unknown }>;
  "x-event-data"?: Schema;
};
export type Parameter = { name: string; in: string; required?: boolean; description?: string; schema?: Schema };
export type OperationResponse = {
  description: string;
  headers?: Record<string, unknown>;
  content?: Record<string, Media>;
};
export type Operation = {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security?: object[];
  parameters?: Parameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, OperationResponse>;
};
export type ReferenceDocument = {
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};
export type Listed = Operation & { method: string; path: string };
export type OperationGroup = { name: string; description: string; operations: Listed[] };

export function groupsOf({ tags, paths }: ReferenceDocument): OperationGroup[] {
  const all = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): Listed => ({ ...operation, method: method.toUpperCase(), path })),
  );
  return tags.map((tag) => ({ ...tag, operations: all.filter((each) => each.tags.includes(tag.name)) }));
}

export function refName({ $ref }: Schema): string | undefined {
  return $ref?.split("/").at(-1);
}

/** A schema as one line: `string (uuid)`, `"a" | "b"`, `Chat[]`. */
export function typeOf(schema: Schema): string {
  const ref = refName(schema);
  if (ref) return ref;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return Array.from(new Set(options.map(typeOf))).join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  if (schema.type === "array") {
    const item = typeOf(schema.items ?? {});
    return item.includes(" ") ? `(${item})[]` : `${item}[]`;
  }
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : (schema.type ?? "any");
  return schema.format ? `${type} (${schema.format})` : type;
}

/** The object schemas one level down: the property itself, its items or its alternatives. */
export function objectsIn(schema: Schema): Schema[] {
  if (schema.properties) return [schema];
  if (schema.items) return objectsIn(schema.items);
  return (schema.anyOf ?? schema.oneOf ?? schema.allOf ?? []).flatMap(objectsIn);
}

/** A command to copy. The reader fills in `$TOKEN`, `$CHAT_ID` … */
export function curlOf({ method, path, security, requestBody, responses }: Listed, origin: string): string {
  const address = path.replace(/\{(\w+)\}/g, (_, name: string) => `$${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`);
  const streams = Object.values(responses).some((each) => each.content?.["text/event-stream"]);
  const flags = [streams && "-N", method !== "GET" && !requestBody && `-X ${method}`].filter(Boolean).join(" ");
  const lines = [`curl ${flags ? `${flags} ` : ""}"${origin}${address}"`];
  if (security?.length !== 0) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  const json = requestBody?.content["application/json"];
  if (json) {
    if (method !== "POST") lines.push(`-X ${method}`);
    lines.push(`-H "Content-Type: application/json"`);
    lines.push(`-d '${JSON.stringify(Object.values(json.examples ?? {})[0]?.value ?? {})}'`);
  }
  if (requestBody?.content["multipart/form-data"]) lines.push("-F file=@notes.md");
  if (requestBody?.content["application/x-www-form-urlencoded"])
    lines.push("-b cookies.txt -c cookies.txt", '-d "csrfToken=$CSRF_TOKEN&email=ada@example.com&password=$PASSWORD"');
  return lines.join(" \\\n  ");
}
