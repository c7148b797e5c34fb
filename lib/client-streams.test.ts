// Everything a request opens is closed exactly once, whenever its client leaves or it fails.
import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { type ClientStream, clientStreams, withClientStream } from "./client-streams";
import { heartbeatCount } from "./sse";

const never = new Promise<never>(() => {});
/** A resource opened by a request, and how often it was closed. */
function opened() {
  const resource = { closed: 0, close: () => void resource.closed++ };
  return resource;
}

function requestWith(client = new AbortController()) {
  const request = new Request("http://localhost/", { signal: client.signal });
  return { client, request };
}

const events = (stream: ClientStream, next: () => Promise<string | null> = () => never) =>
  new Response(stream.events({ heartbeatMs: 3_600_000, next }));

function expectNothingOpen(request: Request, ...resources: { closed: number }[]): void {
  expect(resources.map(({ closed }) => closed)).toEqual(resources.map(() => 1));
  expect([clientStreams().size, heartbeatCount()]).toEqual([0, 0]);
  expect(getEventListeners(request.signal, "abort")).toHaveLength(0);
}

it("closes resources and the unread body for a client that was already gone", async () => {
  const { client, request } = requestWith();
  client.abort();
  const resource = opened();
  await withClientStream(request, null, async (stream) => {
    stream.own(resource);
    return events(stream);
  });
  expectNothingOpen(request, resource);
});

it("closes resources when the client leaves during setup", async () => {
  const { client, request } = requestWith();
  const [before, after] = [opened(), opened()];
  await withClientStream(request, null, async (stream) => {
    stream.own(before);
    client.abort();
    await Promise.resolve();
    stream.own(after);
    return events(stream);
  });
  expectNothingOpen(request, before, after);
});

it("closes an unread body, and ends one being read, when the client leaves", async () => {
  for (const reading of [false, true]) {
    const { client, request } = requestWith();
    const resource = opened();
    const response = await withClientStream(request, null, async (stream) => {
      stream.own(resource);
      return events(stream);
    });
    expect([resource.closed, clientStreams().size, heartbeatCount()]).toEqual([0, 1, 1]);
    const text = reading ? response.text() : Promise.resolve("");
    client.abort();
    expect(await text).not.toContain("data:");
    expectNothingOpen(request, resource);
  }
});

it("closes resources when the handler throws, returns no events, or its events end or fail", async () => {
  const works: [outcome: string, (stream: ClientStream) => Promise<Response>][] = [
    ["Error: broken", async () => Promise.reject(new Error("broken"))],
    ["", async () => new Response(null, { status: 204 })],
    [": open\n", async (stream) => events(stream, async () => null)],
    // The client's connection is cut.
    ["AbortError: the stream failed", async (stream) => events(stream, () => Promise.reject(new Error("broken")))],
  ];
  for (const [outcome, work] of works) {
    const { request } = requestWith();
    const resource = opened();
    const answered = withClientStream(request, null, async (stream) => {
      stream.own(resource);
      return work(stream);
    });
    expect(await answered.then((response) => response.text()).catch(String)).toBe(outcome);
    expectNothingOpen(request, resource);
  }
});

it("counts as abandoned when the client leaves early, not when it has the last blocks", async () => {
  const { client, request } = requestWith();
  const abandoned: boolean[] = [];
  const open = (isLast?: () => boolean) =>
    withClientStream(request, null, async (stream) => {
      stream.own({ close: () => void abandoned.push(stream.abandoned) });
      let given = 0;
      const next = async () => (given++ === 0 ? "data: a\n\n" : null);
      return new Response(stream.events({ heartbeatMs: 3_600_000, next, ...(isLast && { isLast }) }));
    });
  expect(await (await open(() => true)).text()).toContain("data: a");
  expect(await (await open()).text()).toContain("data: a");
  await open();
  client.abort();
  expect(abandoned).toEqual([false, false, true]);
});
