import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { openStream } from "./sse.ts";

const text = "x".repeat(3000);
let server: Server;
let proxy: FaultProxy;

beforeEach(async () => {
  server = createServer((request, response) => {
    response.setHeader("content-type", "text/event-stream");
    if (request.url === "/hold") return response.write(": open\n\n");
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  proxy = await startFaultProxy((server.address() as AddressInfo).port);
});
afterEach(async () => {
  await proxy.close();
  server.closeAllConnections();
  server.close();
});

const get = async () => (await fetch(proxy.url, { headers: { connection: "close" } })).text();

it("forwards bytes, whole or fragmented", async () => {
  expect(await get()).toBe(text);
  proxy.piece(7);
  expect(await get()).toBe(text);
});

it("cuts after a given number of bytes", async () => {
  proxy.cutAfter(1000);
  await expect(get()).rejects.toThrow();
  proxy.cutAfter(null);
  expect(await get()).toBe(text);
});

it("refuses connections while down, and accepts them again afterwards", async () => {
  const stream = await openStream(`${proxy.url}/hold`);
  await stream.until(({ comments }) => comments.length === 1);
  proxy.down();
  expect(await stream.ended).toBe("reset");
  await expect(get()).rejects.toThrow();
  proxy.up();
  expect(await get()).toBe(text);
});

it("stalls without closing", async () => {
  proxy.stall(true);
  const answer = get();
  expect(await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 50, "silence"))])).toBe("silence");
  proxy.stall(false);
  expect(await answer).toBe(text);
});
