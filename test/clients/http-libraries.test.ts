// Libraries that read a stream as bytes: the reading is what everybody writes by hand. Streams that break off:
// broken-off.test.ts.
import { describe, expect, test } from "vitest";
import { newKey, testCluster } from "@/test/server/cluster";
import { busyGuest, fewTurnsAtATime } from "./busy-guest";
import { type Asked, httpLibraries } from "./http-libraries";

const cluster = testCluster({ env: fewTurnsAtATime });

function asked(message: string, token = cluster.user.token): Asked {
  return { url: `${cluster.a.url}/api/v1/chat`, token, body: { message, stream: true, search_mode: "none" } };
}

describe.each(httpLibraries)("$name", ({ read, statusOf }) => {
  test("streams an answer to its end", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Two" }, { gate: key }, { text: " wörds." }, { finish: "stop" }]);
    let text = "";
    for await (const piece of read(asked(key))) {
      text += piece;
      // Nothing on the way waits for the end.
      if (text.includes("Two")) cluster.provider.open(key);
    }
    const events = Array.from(text.matchAll(/^data: (.*)$/gm), ([, data = ""]) => JSON.parse(data));
    expect(events.map(({ content = "" }) => content).join("")).toBe("Two wörds.");
    expect(events.at(-1).type).toBe("metadata");
  });

  test("throws its own class for a wrong key, an unknown path and a limit", async () => {
    const refuse = async (request: Asked) => {
      const reading = async () => {
        for await (const _ of read(request));
      };
      return statusOf(await reading().catch((error: unknown) => error));
    };
    expect(await refuse(asked("Hello", "wrong"))).toBe(401);
    expect(await refuse({ ...asked("Hello"), url: `${cluster.a.url}/api/nothing` })).toBe(404);
    expect(await refuse(asked("Hello", await busyGuest(cluster)))).toBe(429);
  });
});
