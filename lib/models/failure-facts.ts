// What the log says of each failed call of a model: the provider's own identifiers and, of an answer that could not be read, the place in
// its schema. Never its words, which may hold keys and prompts: those are for LOG_PROVIDER_ERRORS (error-excerpt.ts).
import { TypeValidationError } from "ai";
import { providerReport } from "./provider-report";
import { type Refusal, refusalOf } from "./refusals";

type FailureFacts = {
  refusal?: Refusal;
  status?: number;
  code?: string;
  type?: string;
  param?: string;
  /** As `choices.0.delta.content`. */
  path?: string;
};

/** Letters alone, or a short number: a key or an id has both. */
const identifier = /^(?:[a-z][a-z_.]{0,49}|\d{1,6})$/i;
/** A field, with the places in lists and objects that lead to it. */
const fieldPath = /^[a-z][a-z_]{0,39}(?:\[\d{1,4}\]|\.\d{1,4}|\.[a-z_]{1,40}){0,8}$/i;

/** Null when there is nothing to say. */
export function failureFacts(error: unknown): FailureFacts | null {
  const report = providerReport(error);
  const path = schemaPath(error);
  const facts: [keyof FailureFacts, unknown][] = [
    ["refusal", refusalOf(error)],
    ["status", report?.status],
    ["code", report?.code && identifier.test(report.code) && report.code],
    ["type", report?.type && identifier.test(report.type) && report.type],
    ["param", report?.param && fieldPath.test(report.param) && report.param],
    ["path", path],
  ];
  const known = facts.filter(([, value]) => value);
  return known.length > 0 ? Object.fromEntries(known) : null;
}

type Issue = { path?: PropertyKey[]; errors?: Issue[][] };

/** A schema that is a union has an issue for each of its members: the one that got furthest is about what was meant. */
const maxUnionDepth = 4;
const maxPathSteps = 12;

function schemaPath(error: unknown): string | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 8; current = current.cause, depth++) {
    if (!TypeValidationError.isInstance(current)) continue;
    const { issues } = (current.cause ?? {}) as { issues?: Issue[] };
    const steps = Array.isArray(issues) ? longestPath(issues, 0) : [];
    return steps.slice(0, maxPathSteps).map(stepOf).join(".") || undefined;
  }
}

function longestPath(issues: Issue[], depth: number): PropertyKey[] {
  let longest: PropertyKey[] = [];
  for (const { path = [], errors = [] } of issues) {
    const inside = depth < maxUnionDepth ? longestPath(errors.flat(), depth + 1) : [];
    const whole = [...path, ...inside];
    if (whole.length > longest.length) longest = whole;
  }
  return longest;
}

/** Keys that the provider chose stay out. */
function stepOf(step: PropertyKey): string {
  const text = String(step);
  return identifier.test(text) ? text : "*";
}
