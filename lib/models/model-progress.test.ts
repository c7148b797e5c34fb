import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ModelPhase } from "@/lib/turn/model-status";
import { ModelProgress, onModelPhase, progressOf } from "./model-progress";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

function watched() {
  const reports: [ModelPhase, forMs: number][] = [];
  const progress = new ModelProgress((phase, forMs) => reports.push([phase, Math.round(forMs)]));
  const passes = (ms: number) => void vi.advanceTimersByTime(ms);
  return { reports, progress, passes };
}

it("reports nothing when text or reasoning begins within three seconds", () => {
  const { reports, progress, passes } = watched();
  progress.begin(true);
  passes(1_000);
  progress.responding();
  progress.reasoning();
  passes(1_900);
  progress.answering();
  passes(60_000);
  progress.end();
  progress.begin(true);
  passes(2_900);
  progress.end();
  passes(60_000);
  expect(reports).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

it("reports loading while a server does not respond, then thinking while it sends nothing", () => {
  const { reports, progress, passes } = watched();
  progress.begin(true);
  passes(8_000);
  progress.responding();
  passes(4_000);
  progress.answering();
  expect(reports).toEqual([
    ["loading", 3_000],
    ["thinking", 1_000],
    ["answering", 0],
  ]);
});

it("reports thinking from the start of the request when a server responds without content", () => {
  const { reports, progress, passes } = watched();
  progress.begin(true);
  passes(500);
  progress.responding();
  passes(10_000);
  expect(reports).toEqual([["thinking", 3_000]]);
});

it("does not report loading for a loaded model, unless its server says so", () => {
  const { reports, progress, passes } = watched();
  progress.begin(false);
  passes(10_000);
  progress.answering();
  progress.begin(false);
  progress.loading();
  expect(reports.map(([phase]) => phase)).toEqual(["thinking", "answering", "loading"]);
});

it("does not report thinking when the first text comes with the first byte", () => {
  const { reports, progress, passes } = watched();
  progress.begin(true);
  passes(20_000);
  progress.responding();
  passes(900);
  progress.answering();
  passes(20_000);
  expect(reports.map(([phase]) => phase)).toEqual(["loading", "answering"]);
});

it("reports thinking at once for visible reasoning", () => {
  const { reports, progress, passes } = watched();
  progress.begin(true);
  passes(20_000);
  progress.reasoning();
  passes(20_000);
  expect(reports).toEqual([
    ["loading", 3_000],
    ["thinking", 0],
  ]);
});

it.each([true, false])("counts retries against a loading server as one wait", (loads) => {
  const { reports, progress, passes } = watched();
  for (let attempt = 0; attempt < 5; attempt++) {
    progress.begin(loads);
    passes(100);
    progress.end();
    progress.loading();
    passes(2_000);
  }
  progress.begin(loads);
  passes(5_000);
  progress.answering();
  expect(reports).toEqual([
    ["loading", 100],
    ["answering", 0],
  ]);
});

it("resets with the next request of a turn", () => {
  const { reports, progress, passes } = watched();
  for (let step = 0; step < 2; step++) {
    progress.begin(true);
    progress.responding();
    passes(5_000);
    progress.answering();
    progress.end();
    passes(9_000);
  }
  expect(reports.map(([phase, forMs]) => `${phase} ${forMs}`)).toEqual([
    "thinking 3000",
    "answering 0",
    "thinking 3000",
    "answering 0",
  ]);
});

it("is found only by its call's abort signal", () => {
  const { signal } = new AbortController();
  onModelPhase(signal, () => {});
  expect(progressOf(signal)).toBeInstanceOf(ModelProgress);
  expect(progressOf(new AbortController().signal)).toBeNull();
  expect(progressOf(undefined)).toBeNull();
});
