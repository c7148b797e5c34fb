import { expect, it, vi } from "vitest";
import { preflight, withCors } from "./cors";

// Read on first use.
vi.stubEnv("CORS_ORIGINS", "http://localhost:8080");

function allowedHeaders(origin: string, asked: string): string[] | undefined {
  const headers = { origin, "access-control-request-headers": asked };
  const answer = preflight(new Request("http://rivulet.example/v1/models", { method: "OPTIONS", headers }));
  expect(answer.status).toBe(204);
  return answer.headers.get("access-control-allow-headers")?.toLowerCase().split(", ");
}

it("allows a client library's own headers, and never a proxy's", () => {
  const allowed = allowedHeaders("http://localhost:8080", "x-stainless-os, X-Forwarded-Host,forwarded, content-type");
  expect(allowed).toContain("x-stainless-os");
  expect(allowed).toContain("last-event-id");
  expect(allowed?.filter((name) => name.includes("forwarded"))).toEqual([]);
});

it("allows nothing from an unlisted origin", () => {
  expect(allowedHeaders("http://localhost:8081", "content-type")).toBeUndefined();
});

it("never lets another origin's page send the session cookie", () => {
  const request = new Request("http://rivulet.example/v1/models", { headers: { origin: "http://localhost:8080" } });
  const answer = withCors(request, new Response());
  expect(answer.headers.get("access-control-allow-origin")).toBe("http://localhost:8080");
  expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
});
