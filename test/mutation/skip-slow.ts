// Setup file: skips the tests that take seconds each, so that a surviving mutant costs seconds. (Stryker overwrites the
// configuration's testNamePattern.)
import { beforeEach } from "vitest";

const slow = [
  /a thousand watchers/,
  /^I15: without notifications/,
  /replaces a silent LISTEN connection/,
  /a table that is locked for long/,
  /outage longer than the lease/,
  /while backends are killed repeatedly/,
  /^commits per second/,
  /any interleaving of writers and readers/,
  /an unreadable log is retried/,
  /renewals alone/,
  /ends in one round more orphaned answers/,
  /a server dies with 500 live answers/,
  /handovers do not count as crashes/,
  /wherever it was cut/,
  /breaks a frame/,
  /steps equal those of streamText/,
];

beforeEach(({ task, skip }) =>
  skip(
    slow.some((title) => title.test(task.name)),
    "too slow to repeat for every mutant",
  ),
);
