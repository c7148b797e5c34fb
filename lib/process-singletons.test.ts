import { expect, it, vi } from "vitest";
import { processSingleton } from "./process-singletons";

it("two copies of a module share one object", async () => {
  const here = processSingleton("test-shared", () => ({ count: 0 }));
  here().count += 1;
  vi.resetModules();
  const copy = await import("./process-singletons");
  expect(copy.processSingleton).not.toBe(processSingleton);
  expect(copy.processSingleton("test-shared", () => ({ count: 0 }))()).toBe(here());
});

it("a failed creation is repeated by the next call", () => {
  const create = vi
    .fn(() => ({ made: true }))
    .mockImplementationOnce(() => {
      throw new Error("not configured");
    });
  const singleton = processSingleton("test-failing", create);
  expect(singleton).toThrow("not configured");
  expect(singleton()).toEqual({ made: true });
  expect(singleton()).toBe(singleton());
  expect(create).toHaveBeenCalledTimes(2);
});
