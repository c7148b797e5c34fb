// What is logged of a failed model call: the provider's own identifiers and, for an unreadable
// answer, the position in its schema. Never its text, which may hold keys and prompts: that is for
// LOG_PROVIDER_ERRORS (error-excerpt.ts).
import { TypeValidationError } from "ai";
import { providerReport } from "./provider-report";
import { type Refusal, refusalOf } from "./refusals";

type FailureFacts = {
  refusal?: Refusal;
  status?: number;
  code?: string;
  type?: string;
  param?: string;
  /** E.g. `choices.0.delta.content`. */
  path?: string;
};

/** Letters only, or a short number: keys and ids mix both. */
const identifier = /^(?:[a-z][a-z_.]{0,49}|\d{1,6})$/i;
/** A field name with list and object positions. */
const fieldPath = /^[a-z][a-z_]{0,39}(?:\[\d{1,4}\]|\.\d{1,4}|\.[a-z_]{1,40}){0,8}$/i;

/** Null if there is nothing to report. */
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

/**
 * A union schema reports issues for each member: the one that got furthest is most likely the
 * intended one.
 */
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

/** Keys chosen by the provider are masked. */
function stepOf(step: PropertyKey): string {
  const text = String(step);
  return identifier.test(text) ? text : "*";
}
