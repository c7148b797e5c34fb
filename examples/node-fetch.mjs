// Dialect `ai-sdk` (the native one) with Node.js 20 or later, no packages:
// RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… node node-fetch.mjs "What is a rivulet?"
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { sseEvents } from "./sse-events.mjs";

const { RIVULET_URL: url = "http://localhost:3000", RIVULET_TOKEN: token } = process.env;
const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };

// #region ask
/** The events of one answer, across lost connections; the caller recognizes the last one. */
async function* ask(question) {
  // A message sent again with the same id is the same turn.
  const message = { id: randomUUID(), role: "user", parts: [{ type: "text", text: question }] };
  let turnId = "";
  let cursor = "";
  for (let failures = 0; failures < 10; failures++) {
    try {
      const response = cursor
        ? await fetch(`${url}/api/turns/${turnId}/stream`, { headers: { ...headers, "Last-Event-ID": cursor } })
        : await fetch(`${url}/api/chat`, { method: "POST", headers, body: JSON.stringify({ message }) });
      if (response.status === 204) return;
      if (response.ok) {
        turnId = response.headers.get("x-turn-id");
        for await (const event of sseEvents(response.body)) {
          // Until the first event, a retry repeats the POST.
          cursor = event.id;
          failures = 0;
          yield event;
        }
      } else if (![429, 502, 503, 504].includes(response.status)) {
        throw new Error((await response.json()).error.message);
      }
    } catch (error) {
      // fetch throws this on network failures.
      if (!(error instanceof TypeError)) throw error;
    }
    await sleep(1_000);
  }
  throw new Error("The server cannot be reached. The answer is kept there.");
}
// #endregion

// #region print
async function print(question) {
  for await (const { data } of ask(question)) {
    const chunk = JSON.parse(data);
    if (chunk.type === "text-delta") process.stdout.write(chunk.delta);
    if (chunk.type === "error") throw new Error(chunk.errorText);
    if (chunk.type === "finish" || chunk.type === "abort") break;
  }
  process.stdout.write("\n");
}
// #endregion

try {
  await print(process.argv[2] ?? "What is a rivulet?");
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
