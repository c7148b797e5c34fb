// What a hostile or merely heavy guest sends, one function per attack. Each call is one round of
// requests and resolves to their statuses; `attacker-process.ts` repeats it. Everything here is
// ordinary use of the public API.
import { randomBytes, randomInt, randomUUID } from "node:crypto";

export type Target = { url: string; token: string };
export type Attack = (target: Target) => Promise<number[]>;

/** Requests per round. */
const parallel = 30;
/** Longer than any answer takes; a hung request counts as status 0. */
const giveUpMs = 20_000;

async function statusOf({ url, token }: Target, path: string, init: RequestInit = {}): Promise<number> {
  try {
    const answer = await fetch(url + path, {
      signal: AbortSignal.timeout(giveUpMs),
      ...init,
      headers: { authorization: `Bearer ${token}`, ...init.headers },
    });
    await answer.arrayBuffer();
    return answer.status;
  } catch (error) {
    // Closed by the server while sending a body, or aborted here on purpose.
    if (error instanceof Error) return 0;
    throw error;
  }
}

const times = (count: number, send: (index: number) => Promise<number>) =>
  Promise.all(Array.from({ length: count }, (_, index) => send(index)));

function post(target: Target, path: string, body: unknown, init: RequestInit = {}): Promise<number> {
  return statusOf(target, path, {
    ...init,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

function upload(target: Target, name: string, text: string): Promise<number> {
  const form = new FormData();
  form.append("file", new Blob([text]), name);
  return statusOf(target, "/api/documents", { method: "POST", body: form });
}

function ask(target: Target, parts: string[], model: string, init: RequestInit = {}): Promise<number> {
  const message = { id: randomUUID(), role: "user", parts: parts.map((text) => ({ type: "text", text })) };
  return post(target, "/api/chat", { id: randomUUID(), message, model }, init);
}

function rawMultipart(target: Target, parts: number): Promise<number> {
  const boundary = randomBytes(8).toString("hex");
  const part = `--${boundary}\r\ncontent-disposition: form-data; name="x"\r\n\r\n1\r\n`;
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  return statusOf(target, "/api/documents", {
    method: "POST",
    headers,
    body: `${part.repeat(parts)}--${boundary}--\r\n`,
  });
}

/** A request aborted at a random moment within its first 60 ms. */
function leaveEarly(target: Target, path: string, init: RequestInit = {}): Promise<number> {
  return statusOf(target, path, { ...init, signal: AbortSignal.timeout(randomInt(1, 60)) });
}

/**
 * By name, as in test titles. `slowBrackets` and `manyParts` in a prompt select answers of the
 * scripted provider.
 */
export const attacks: Record<string, Attack> = {
  "a heading of 120 kB of spaces": (target) => times(3, () => upload(target, "x.md", `# a${" ".repeat(120_000)}b`)),
  "80,000 images that never close": (target) => times(3, () => upload(target, "x.md", `# ${"![".repeat(80_000)}`)),
  "a heading of 70 kB over many passages": (target) =>
    times(3, () => upload(target, "x.md", `# ${"word ".repeat(14_000)}\n\n${"A sentence of text. ".repeat(20_000)}`)),
  "10 MB that are one heading after the other": (target) =>
    times(1, () => upload(target, "x.md", "a.\n# h\n".repeat(1_400_000))),
  "large uploads": (target) => times(3, () => upload(target, "x.txt", "lorem ipsum dolor ".repeat(500_000))),
  "multipart bodies of 30,000 parts": (target) => times(5, () => rawMultipart(target, 30_000)),
  "messages of 2,000 parts": (target) =>
    times(5, () =>
      ask(
        target,
        Array.from({ length: 2_000 }, (_, index) => `part ${index}`),
        "local",
      ),
    ),
  "messages of a million characters": (target) => times(5, () => ask(target, ["word ".repeat(199_990)], "local")),
  // With a question that finds sources, so that the answer is compared with them.
  "answers of 100 kB of brackets": (target) =>
    times(5, () => ask(target, ["What is a rivulet? slowBrackets"], "openai:scripted")),
  "answers of 2,000 parts": (target) =>
    times(5, () => ask(target, ["What is a rivulet? manyParts"], "openai:scripted")),
  "JSON nested 500,000 deep": (target) =>
    times(5, () => post(target, "/api/chat", `${"[".repeat(500_000)}${"]".repeat(500_000)}`)),
  "the reference": (target) =>
    times(parallel, (index) => statusOf(target, index % 2 === 0 ? "/reference" : "/openapi.json")),
  "searches of the chats": (target) =>
    times(2 * parallel, (index) => statusOf(target, `/api/chats?q=${encodeURIComponent(`needle ${index} a`)}`)),
  lists: (target) =>
    times(parallel, (index) =>
      statusOf(target, ["/api/chats?limit=100", "/api/documents", "/api/tokens"][index % 3] as string),
    ),
  "sign-ins": (target) =>
    times(10 * parallel, (index) =>
      post(target, "/api/tokens", { email: `nobody${index}@example.com`, password: "not the right one" }),
    ),
  "streams and feeds that are opened and left": (target) =>
    times(2 * parallel, (index) =>
      index % 2 === 0
        ? ask(target, ["hello"], "local", { signal: AbortSignal.timeout(randomInt(1, 60)) })
        : leaveEarly(target, `/api/chats/${randomUUID()}/events`),
    ),
  "more feeds than the ceiling allows, held open": async (target) => {
    const id = randomUUID();
    const made = await post(target, "/api/chats", { id });
    const hold = () => statusOf(target, `/api/chats/${id}/events`, { signal: AbortSignal.timeout(500) });
    return [made, ...(await times(4 * parallel, hold))];
  },
};
