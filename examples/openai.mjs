// Dialect `openai` with OpenAI's own client: npm install openai, then
// RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… node openai.mjs "What is a rivulet?"
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.RIVULET_URL ?? "http://localhost:3000"}/v1`,
  apiKey: process.env.RIVULET_TOKEN,
});

// #region ask
/** The pieces of one answer, across lost connections. */
async function* ask(question) {
  // The same request with the same key is the same turn, replayed from its start: this client does
  // not expose event ids.
  const headers = { "Idempotency-Key": randomUUID() };
  let length = 0;
  for (let failures = 0; failures < 10; failures++) {
    try {
      const model = (await client.models.list()).data[0].id;
      const messages = [{ role: "user", content: question }];
      const stream = await client.chat.completions.create({ model, messages, stream: true }, { headers });
      let seen = 0;
      for await (const { choices } of stream) {
        const [{ delta, finish_reason: finished }] = choices;
        const content = delta.content ?? "";
        const known = Math.min(length - seen, content.length);
        seen += content.length;
        if (seen > length) {
          length = seen;
          failures = 0;
          yield content.slice(known);
        }
        if (finished) return;
      }
      // The stream ended before the answer did.
    } catch (error) {
      const lost = error instanceof OpenAI.APIConnectionError || !(error instanceof OpenAI.APIError);
      if (!lost) throw error;
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
