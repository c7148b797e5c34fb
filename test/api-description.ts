// The API description for tests: schemas as validators, operations as a list, streams as events.
import Ajv2020, { type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { createParser } from "eventsource-parser";
import { expect } from "vitest";

type Json = Record<string, unknown>;
export type Media = { schema: Json; examples?: Record<string, { value: unknown }>; "x-event-data"?: Json };
export type Operation = {
  operationId: string;
  tags: string[];
  summary: string;
  parameters?: { name: string; in: string; required?: boolean }[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<
    string,
    { headers?: Record<string, { required?: boolean; schema: Json }>; content?: Record<string, Media> }
  >;
};
export type Description = {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json> };
};

export type Listed = { name: string; method: string; path: string; operation: Operation };

export function operationsOf({ paths }: Description): Listed[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      operation,
    })),
  );
}

/** Compiles schemas of this description into validators; throws on an invalid schema. */
export function validatorOf({ components }: Description): (schema: Json) => ValidateFunction {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
  addFormats.default(ajv);
  // OpenAPI keywords that do not affect validation.
  for (const keyword of ["discriminator", "example"]) ajv.addKeyword(keyword);
  ajv.addVocabulary(["components"]);
  let count = 0;
  return (schema) => ajv.compile({ $id: `schema-${count++}`, components, ...schema });
}

/** Fails with the validator's errors. */
export function expectValid(validate: ValidateFunction, value: unknown, what: string): void {
  const valid = validate(value);
  expect(valid, `${what}: ${JSON.stringify(validate.errors)} in ${JSON.stringify(value)}`).toBe(true);
}

/** Parses with `eventsource-parser`; throws if the text is not an event stream. */
export function eventsOf(stream: string): { data: string; id?: string }[] {
  const events: { data: string; id?: string }[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onError: (error) => {
      throw error;
    },
  });
  parser.feed(stream);
  return events;
}

/** The JSON values of a stream's events, without the closing `[DONE]`. */
export function valuesOf(stream: string): unknown[] {
  return eventsOf(stream)
    .filter(({ data }) => data !== "[DONE]")
    .map(({ data }) => JSON.parse(data));
}
