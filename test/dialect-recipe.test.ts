// A new dialect is one file, one registry line and its goldens (CONTRIBUTING.md): the sample in
// test/fixtures meets the contract and is served by the dialect route, on a real database, with no
// other change.
import { afterAll, describe, expect, test } from "vitest";
import { handleDialect } from "@/app/dialect-handler";
import { createRegistry, registry } from "@/lib/dialects/registry";
import { turnLog } from "@/lib/log/turn-log";
import { createGuest, createToken } from "@/lib/services/users/users";
import { blocksOf, context, dialectContract, log, turns } from "@/test/dialects/dialect.contract";
import { testDatabase } from "./database";
import { lines } from "./fixtures/lines";

describe("the contract", () => {
  dialectContract({ dialect: lines, textOf: ({ event, data }) => (event ? "" : JSON.parse(data).words) });
});

describe("the door", () => {
  testDatabase();
  const pendingWork: Promise<void>[] = [];
  const handler = handleDialect(createRegistry([...registry.dialects, lines]), (work) => void pendingWork.push(work));
  afterAll(async () => {
    await Promise.all(pendingWork);
    await turnLog().close(0);
  });

  async function ask(
    token: string,
    { method = "POST", accept = "text/event-stream", path = "/lines/5", body = { say: "Hi" } as unknown } = {},
  ) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", accept };
    const init = { method, headers, ...(method === "POST" && { body: JSON.stringify(body) }) };
    return handler(new Request(`http://localhost${path}`, init));
  }

  /** Without comments and the retry delay in the first block. */
  const blocksIn = (raw: string) => raw.replace(/^(?::|retry:).*\n/gm, "").split(/(?<=\n\n)/);

  test("starts, streams, resumes, answers in one piece and refuses in its own format", async () => {
    const { id } = await createGuest("recipe");
    const { token } = await createToken(id, { name: "recipe" });
    const first = await ask(token);
    expect(first.status).toBe(200);
    const blocks = blocksIn(await first.text());
    expect(blocks.at(-1)).toMatch(/^event: end\ndata: \{"end":"complete"\}\nid: /);
    const cursor = /\nid: (.*)\n/.exec(blocks[0] as string)?.[1];
    const rest = await ask(token, { method: "GET", path: `/lines/5/?after=${cursor}` });
    expect(blocksIn(await rest.text())).toEqual(blocks.slice(1));
    const whole = await ask(token, { accept: "application/json" });
    expect(await whole.json()).toEqual({ words: expect.any(String) });
    const bad = await ask(token, { body: {} });
    expect([bad.status, await bad.json()]).toEqual([400, { problem: expect.stringMatching(/^say: /) }]);
    const nobody = await ask("rvl_no");
    expect([nobody.status, await nobody.json()]).toEqual([401, { problem: expect.any(String) }]);
  });
});

test("coexists with the other dialects", () => {
  const [, plain] = turns.find(([name]) => name === "plain") ?? [];
  if (!plain) throw new Error("the golden turn `plain` is missing");
  expect(blocksOf(lines, log(plain)).length).toBe(4);
  expect(context.turnId).toBe("01940000-0000-7000-8000-000000000001");
});
