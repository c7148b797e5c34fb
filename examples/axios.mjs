// Dialect `token` with axios in Node.js 20 or later: npm install axios, then
// RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… node axios.mjs "What is a rivulet?"
import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import axios from "axios";
import { sseEvents } from "./sse-events.mjs";

const http = axios.create({
  baseURL: process.env.RIVULET_URL ?? "http://localhost:3000",
  headers: { Authorization: `Bearer ${process.env.RIVULET_TOKEN}` },
  responseType: "stream",
});

// #region ask
/** The events of one answer, across lost connections; the caller recognizes the last one. */
async function* ask(question) {
  // The same request with the same key is the same turn.
  const headers = { "Idempotency-Key": randomUUID() };
  let session;
  for (let failures = 0; failures < 10; failures++) {
    try {
      session ??= (await json((await http.post("/api/chats", {})).data)).id;
      const body = { role: "user", content: question };
      const { status, data } = await http.post(`/sessions/${session}/messages/stream`, body, { headers });
      if (status === 204) return;
      for await (const event of sseEvents(Readable.toWeb(data))) {
        headers["Last-Event-ID"] = event.id;
        failures = 0;
        yield event;
      }
    } catch (error) {
      // Without a response the connection was lost.
      if (error.response && ![429, 502, 503, 504].includes(error.response.status)) throw error;
    }
    await sleep(1_000);
  }
  throw new Error("The server cannot be reached. The answer is kept there.");
}
// #endregion

async function print(question) {
  for await (const { data } of ask(question)) {
    const event = JSON.parse(data);
    if (event.type === "token") process.stdout.write(event.content);
    if (event.type === "error") throw new Error(event.error);
    if (event.type === "end") break;
  }
  process.stdout.write("\n");
}

try {
  await print(process.argv[2] ?? "What is a rivulet?");
} catch (error) {
  const refusal = error.response && (await json(error.response.data)).error;
  console.error(refusal?.message ?? refusal ?? error.message);
  process.exitCode = 1;
}
