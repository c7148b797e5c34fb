// A start either becomes ready or ends with one sentence and exit code 1; it never hangs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { testDatabase } from "@/test/database";
import { newGuest, signUp, startServer } from "@/test/server";

const databaseUrl = testDatabase();

/** Runs the command behind `npm start` to its end. */
async function startToEnd(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ["scripts/start.ts"], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_ENV: "production",
      DATABASE_URL: databaseUrl(),
      PORT: "0",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const pipe of [child.stdout, child.stderr])
    pipe.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "exit")) as [number | null];
  return { code, output };
}

test("starts with a copied .env.example whose provider variables are empty", async () => {
  const env = { OPENAI_API_KEY: "", OPENAI_BASE_URL: "", OPENAI_API: "", OLLAMA_BASE_URL: "", MODELS: "" };
  const server = await startServer({ databaseUrl: databaseUrl(), env });
  const { token } = await newGuest(server.url);
  const answer = await fetch(`${server.url}/api/models`, { headers: { authorization: `Bearer ${token}` } });
  expect(await answer.json()).toMatchObject({ default: "local", models: [{ id: "local", ready: true }] });
  expect(await server.stop()).toBe(0);
});

test.each([
  ["an invalid value", { HEARTBEAT_MS: "soon" }, "HEARTBEAT_MS"],
  ["a negative duration", { LEASE_MS: "-1" }, "LEASE_MS"],
  ["a lease that is too short", { LEASE_MS: "1" }, "LEASE_MS: must be at least 500"],
  [
    "a missing models file given by MODELS_FILE",
    { MODELS_FILE: "test/absent.json" },
    "test/absent.json cannot be read (ENOENT)",
  ],
  ["an invalid models file", { MODELS_FILE: "package.json" }, "package.json is not valid. the file: "],
  ["no usable model", { MODELS: "gpt-5\u001b[31m,openai:gpt-5" }, "OPENAI_API_KEY is not set"],
])("%s stops the start with one sentence and exit code 1", async (_, env, name) => {
  const { code, output } = await startToEnd(env);
  expect(output.match(/^Rivulet cannot start: .*$/gm)).toEqual([expect.stringContaining(name)]);
  expect(output).not.toContain("    at ");
  expect(code).toBe(1);
});

test("an unusable model is reported at start, and the others work", async () => {
  const server = await startServer({ databaseUrl: databaseUrl(), env: { MODELS: "local,gpt-5\u001b[31m,ollama:m" } });
  const warnings = server
    .output()
    .split("\n")
    .filter((line) => line.includes('"level":"warn"'));
  const messages = warnings.map((line) => JSON.parse(line).msg).filter((text) => text.includes("MODELS"));
  expect(messages).toEqual([
    expect.stringMatching(/^The model "gpt-5.*" of MODELS cannot be used\. MODELS has an entry that is none of/),
    'The model "ollama:m" of MODELS cannot be used. OLLAMA_BASE_URL is not set.',
  ]);
  expect(server.output()).not.toContain("\u001b");
  expect(await server.stop()).toBe(0);
});

test("the first account on a public server needs the printed link; later starts print none", async () => {
  const start = () => startServer({ databaseUrl: databaseUrl(), env: { PUBLIC_URL: "https://chat.example.com" } });
  const server = await start();
  const [, query = "", invite = ""] =
    /^Nobody has an account yet\..* https:\/\/chat\.example\.com\/sign-in(\?invite=(rvs_\S+))$/m.exec(
      server.output(),
    ) ?? [];
  const account = { email: "ada@example.com", password: "plum gravel 41 lantern" };
  await expect(signUp(server.url, account)).rejects.toThrow("answered 403");
  const page = async (at: string) => (await fetch(server.url + at)).text();
  expect(await page("/sign-in?new")).toContain("open the link that the server printed when it started");
  expect(await page(`/sign-in${query}`)).toContain("Create account");
  const { token } = await signUp(server.url, { ...account, invite });
  const invitations = await fetch(`${server.url}/api/invitations`, { headers: { authorization: `Bearer ${token}` } });
  expect(invitations.status).toBe(200);
  expect(await server.stop()).toBe(0);

  const later = await start();
  expect(later.output()).not.toContain("Nobody has an account yet");
  expect(await later.stop()).toBe(0);
});
