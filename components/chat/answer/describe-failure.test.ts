import { expect, it, onTestFinished } from "vitest";
import { RequestError } from "@/packages/client/src/request";
import { describeFailure } from "./describe-failure";

const refused = (code: string, details = {}) =>
  describeFailure(new RequestError("Nothing was sent.", { status: 429, code, details })).message;

it("shows a budget's reset in the browser's local time", () => {
  const before = process.env.TZ;
  onTestFinished(() => {
    process.env.TZ = before ?? "UTC";
  });
  process.env.TZ = "Asia/Tokyo";
  const resetsAt = "2026-11-30T00:00:00.000Z";
  expect(refused("budget_exhausted", { resetsAt })).toBe("Nothing was sent. 00:00 UTC is 09:00 on your clock.");
  expect(refused("budget_exhausted", { resetsAt: "soon" })).toBe("Nothing was sent.");
  expect(refused("limit_reached", { resetsAt })).toBe("Nothing was sent.");
  process.env.TZ = "UTC";
  expect(refused("budget_exhausted", { resetsAt })).toBe("Nothing was sent.");
});

it("an ended session says what was kept, and links to the sign-in", () => {
  const error = new RequestError("Sign in.", { status: 401, code: "unauthorized" });
  expect(describeFailure(error)).toEqual({ message: expect.stringContaining("What you typed stays"), signIn: true });
});
