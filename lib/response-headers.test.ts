import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { securityHeaders, testPageScriptHash } from "./response-headers";

it("allows the test page's own script only", () => {
  const page = readFileSync(path.resolve("public/sse-test.html"), "utf8");
  const scripts = Array.from(page.matchAll(/<script[^>]*>(.*?)<\/script>/gs), ([, text]) => text ?? "");
  const hashes = scripts.map((text) => `sha256-${createHash("sha256").update(text).digest("base64")}`);
  expect(hashes).toEqual([testPageScriptHash]);
});

it("adds HSTS only over https, and allows cross-origin embedding only of shared resources", () => {
  const facts = { path: "/", https: false, shared: false };
  expect(securityHeaders(facts)).not.toHaveProperty("Strict-Transport-Security");
  expect(securityHeaders({ ...facts, https: true })).toHaveProperty("Strict-Transport-Security");
  expect(securityHeaders(facts)["Cross-Origin-Resource-Policy"]).toBe("same-origin");
  expect(securityHeaders({ ...facts, shared: true })["Cross-Origin-Resource-Policy"]).toBe("cross-origin");
});
