import { expect, it } from "vitest";
import { methodsOf, routeName } from "./route-costs";

it.each([
  ["/api/chats/some-words-of-a-person", "GET /api/chats/[chatId]"],
  ["/api/turns/0faba89e-9613-4008-9ec9-1fe90c0ba9ce/stream", "GET /api/turns/[turnId]/stream"],
  ["/reference", "GET /reference"],
  ["/", "GET /"],
  ["/api/v1/chat/stream", "GET /api/v1/chat/stream"],
  ["/api/0faba89e-9613-4008-9ec9-1fe90c0ba9ce/chat", "GET /api/…/chat"],
  ["/chat/My_Words/and%20more", "GET /chat/…/…"],
  [`/${"a/".repeat(10_000)}`, "GET /a/a/a/a/a"],
])("names the route of %s without ids and user text", (path, name) => {
  expect(routeName("GET", path)).toBe(name);
});

it("returns the methods of known routes only", () => {
  expect(methodsOf("/api/chats")).toEqual(["GET", "POST", "HEAD", "OPTIONS"]);
  expect(methodsOf("/api/chat/")).toEqual(["POST", "OPTIONS"]);
  expect(methodsOf("/api/v1/chat")).toBeNull();
});
