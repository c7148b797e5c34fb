import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { installRequestGate } from "./request-gate";

it("sends flushed headers together with what is written in the same tick", async () => {
  installRequestGate();
  const waiting: (number | undefined)[] = [];
  const server = createServer(async (_request, response) => {
    response.flushHeaders();
    response.write("a");
    waiting.push(response.socket?.writableLength);
    await new Promise((resolve) => setImmediate(resolve));
    response.write("b");
    waiting.push(response.socket?.writableCorked);
    response.end();
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  expect(await answer.text()).toBe("ab");
  const [together = 0, later] = waiting;
  expect(together).toBeGreaterThan(200);
  // Node's own, opened by a chunk until the next tick.
  expect(later).toBe(1);
});
