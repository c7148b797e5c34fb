// curl, Python and Java, as they are in Debian. Streams that break off: broken-off.test.ts.
import { beforeAll, describe, expect, test } from "vitest";
import { newKey, testCluster } from "@/test/server/cluster";
import { busyGuest, fewTurnsAtATime } from "./busy-guest";
import { type Command, commands, installCommands } from "./commands";
import type { Asked } from "./http-libraries";

beforeAll(installCommands, 600_000);
const cluster = testCluster({ env: fewTurnsAtATime });

function asked(message: string, token = cluster.user.token): Asked {
  return { url: `${cluster.a.url}/api/v1/chat`, token, body: { message, stream: true, search_mode: "none" } };
}

async function readAll(pieces: AsyncIterable<string>, each: (text: string) => void = () => {}): Promise<string> {
  let text = "";
  for await (const piece of pieces) {
    text += piece;
    each(text);
  }
  return text;
}

describe.each(commands)("$name", ({ read }) => {
  test("streams an answer to its end", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Two" }, { gate: key }, { text: " wörds." }, { finish: "stop" }]);
    const text = await readAll(read(asked(key)), (so) => {
      // Nothing on the way waits for the end.
      if (so.includes("Two")) cluster.provider.open(key);
    });
    const events = Array.from(text.matchAll(/^data: (.*)$/gm), ([, data = ""]) => JSON.parse(data));
    expect(events.map(({ content = "" }) => content).join("")).toBe("Two wörds.");
    expect(events.at(-1).type).toBe("metadata");
  });

  test("fails for a wrong key and for a limit", async () => {
    await expect(readAll(read(asked("Hello", "wrong")))).rejects.toThrow("401");
    await expect(readAll(read(asked("Hello", await busyGuest(cluster))))).rejects.toThrow("429");
  });
});

test("httpx waits for a model that is silent for longer than its timeout of five seconds", async () => {
  const key = newKey();
  cluster.provider.on(key, [{ gate: key }, { text: "At last." }, { finish: "stop" }]);
  const read = commands.find(({ name }) => name === "httpx")?.read as Command;
  const text = await readAll(read(asked(key)), (so) => {
    if (so.split(": heartbeat").length > 2) cluster.provider.open(key);
  });
  expect(text).toContain("At last.");
});
