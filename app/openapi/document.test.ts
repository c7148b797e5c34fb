import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, describe as group, it } from "vitest";
import { registry } from "@/lib/dialects/registry";
import { type Description, expectValid, operationsOf, validatorOf, valuesOf } from "@/test/api-description";
import { lines } from "@/test/fixtures/lines";
import { apiDescription, describe } from "./document";
import { eventName } from "./shared-responses";

/** As serialized JSON. */
const description = JSON.parse(JSON.stringify(await apiDescription())) as Description;
const operations = operationsOf(description);
const validator = validatorOf(description);
const event = (name: string) => validator({ $ref: `#/components/schemas/${name}` });

it("is valid OpenAPI 3.1", async () => {
  const checker = new Validator();
  expect(await checker.validate(structuredClone(description))).toEqual({ valid: true });
  expect(checker.version).toBe("3.1");
});

it("has a unique name for each schema", () => {
  // `zod-openapi` appends "Output" when a schema differs between request and response.
  expect(Object.keys(description.components.schemas).filter((name) => name.endsWith("Output"))).toEqual([]);
});

it("names and describes each operation once", () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { name, path, operation } of operations) {
    expect(operation.summary, name).toMatch(/^\S.*[^.]$/);
    expect(operation.tags, name).toHaveLength(1);
    const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, parameter]) => parameter);
    const described = (operation.parameters ?? []).filter((each) => each.in === "path").map((each) => each.name);
    expect(described, name).toEqual(inPath);
  }
});

group.each(operations.map((each) => [each.name, each.operation] as const))("%s", (_, operation) => {
  it("has schemas that match its examples", () => {
    const media = [operation.requestBody, ...Object.values(operation.responses)].flatMap((each) =>
      Object.values(each?.content ?? {}),
    );
    for (const { schema, examples, "x-event-data": eventData } of media) {
      const validate = validator(schema);
      for (const [name, { value }] of Object.entries(examples ?? {})) {
        expectValid(validate, value, name);
        const values = eventData ? valuesOf(value as string) : [];
        expect(values.length > 0, name).toBe(eventData !== undefined);
        for (const each of values) expectValid(validator(eventData as object as Record<string, unknown>), each, name);
      }
    }
  });
});

it.each(registry.dialects.map((dialect) => [dialect.name, dialect] as const))(
  "the events of the recorded turns match the schema of %s",
  (name, dialect) => {
    const folder = path.join(import.meta.dirname, "../../test/golden", name);
    const validate = event(eventName(dialect));
    const files = readdirSync(folder);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files)
      for (const value of valuesOf(readFileSync(path.join(folder, file), "utf8"))) expectValid(validate, value, file);
  },
);

it("shows a transcript in the native dialect and every dialect with its own paths", () => {
  const shown = operations.flatMap(({ operation }) =>
    Object.values(operation.responses["200"]?.content ?? {}).flatMap((media) =>
      media["x-event-data"] && media.examples ? [String(media["x-event-data"].$ref).split("/").at(-1)] : [],
    ),
  );
  const speaking = registry.dialects.filter(({ name, routes }) => name === "ai-sdk" || routes.length > 0);
  expect(shown.sort()).toEqual(speaking.map(eventName).sort());
});

it("describes a new dialect once it is registered", async () => {
  const more = await describe([...registry.dialects, lines]);
  const added = Object.keys(more.paths ?? {}).filter((each) => !(each in description.paths));
  expect(added).toEqual(lines.routes.map((route) => route.path.replace(/:(\w+)/g, "{$1}")));
  const checker = new Validator();
  expect(await checker.validate(JSON.parse(JSON.stringify(more)))).toEqual({ valid: true });
});
