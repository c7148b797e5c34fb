// Dialect `responses` with OpenAI's own client: npm install openai, then
// RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… node openai-responses.mjs "What is a rivulet?"
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.RIVULET_URL ?? "http://localhost:3000"}/v1`,
  apiKey: process.env.RIVULET_TOKEN,
});

// #region ask
class Failed extends Error {}

/** The pieces of one answer, across lost connections. */
async function* ask(input) {
  // The same request with the same key is the same response, until its id is known.
  const headers = { "Idempotency-Key": randomUUID() };
  let id;
  let last = -1;
  for (let failures = 0; failures < 10; failures++) {
    try {
      const events = id
        ? await client.responses.retrieve(id, { stream: true, starting_after: last })
        : await client.responses.create({ input, stream: true }, { headers });
      for await (const event of events) {
        if (event.type === "response.created") id = event.response.id;
        // A repeated request starts from the beginning.
        if (event.sequence_number <= last) continue;
        last = event.sequence_number;
        failures = 0;
        if (event.type === "response.output_text.delta") yield event.delta;
        if (event.type === "response.failed") throw new Failed(event.response.error.message);
        if (event.type === "response.completed" || event.type === "response.incomplete") return;
      }
      // The stream ended before the answer did.
    } catch (error) {
      const lost = error instanceof OpenAI.APIConnectionError || !(error instanceof OpenAI.APIError);
      if (!lost || error instanceof Failed) throw error;
    }
    await sleep(1_000);
  }
  throw new Error("The server cannot be reached. The answer is kept there.");
}
// #endregion

try {
  for await (const piece of ask(process.argv[2] ?? "What is a rivulet?")) process.stdout.write(piece);
  process.stdout.write("\n");
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
