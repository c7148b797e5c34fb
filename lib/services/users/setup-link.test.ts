// Who may create a server's first account, its administrator.
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { pool } from "@/db/client";
import { env } from "@/lib/env";
import { testDatabase } from "@/test/database";
import { isFromThisMachine, isSetupToken, setupLink } from "./setup-link";
import { signUp, signUpInput, signUpMode } from "./users";

testDatabase();

const secret = "a-secret-of-32-characters-or-more";
const address = "203.0.113.9";
const join = (email: string, { invite, local = false }: { invite?: string | undefined; local?: boolean } = {}) =>
  signUp(signUpInput.parse({ email, password: "plum gravel 41 lantern", invite }), { address, local });

beforeAll(() => {
  Object.assign(process.env, { AUTH_SECRET: secret, RATE_LIMITS: "off" });
  const before = { ...env() };
  return () => void Object.assign(env(), before);
});
afterEach(async () => {
  Object.assign(env(), { AUTH_SECRET: secret, SIGN_UP: "open", ADMIN_EMAILS: [], PUBLIC_URL: undefined });
  await pool().sql`delete from users`;
});

async function tokenOfLink(): Promise<string> {
  const link = await setupLink();
  return new URL(link ?? "").searchParams.get("invite") ?? "";
}

describe("from another machine", () => {
  it.each([
    ["open", []],
    ["invite", []],
    ["off", []],
    ["open", ["ada@example.com"]],
  ] as const)("requires the setup link, with SIGN_UP=%s and ADMIN_EMAILS=%j", async (mode, admins) => {
    Object.assign(env(), { SIGN_UP: mode, ADMIN_EMAILS: admins });
    const refusal = { code: "forbidden", status: 403, publicMessage: expect.stringMatching(/setup link.*printed/) };
    await expect(join("ada@example.com")).rejects.toMatchObject(refusal);
    await expect(join("ada@example.com", { invite: "rvs_notTheRightTokenAtAll0" })).rejects.toMatchObject(refusal);
    await expect(join("ada@example.com", { invite: "rvi_something" })).rejects.toMatchObject(refusal);
    expect(await pool().sql`select from users`).toHaveLength(0);
    const invite = await tokenOfLink();
    expect(await join("ada@example.com", { invite })).toMatchObject({ admin: true });
  });

  it("accepts the link once: one of several concurrent sign-ups succeeds, and none later", async () => {
    const invite = await tokenOfLink();
    const results = await Promise.allSettled([1, 2, 3].map((n) => join(`${n}@example.com`, { invite })));
    expect(results.filter(({ status }) => status === "fulfilled")).toMatchObject([{ value: { admin: true } }]);
    await expect(join("late@example.com", { invite })).rejects.toMatchObject({ code: "forbidden" });
    expect(await setupLink()).toBeNull();
    // Without the link the account is an ordinary one.
    expect(await join("late@example.com")).toMatchObject({ admin: false });
  });
});

it("sign-up on the server's own machine needs no link", async () => {
  expect([await signUpMode(true), await signUpMode(false)]).toEqual(["first", "setup"]);
  expect(await join("ada@example.com", { local: true })).toMatchObject({ admin: true });
  expect(await signUpMode(false)).toBe("open");
});

it("servers with one secret have the same link, and another secret gives another", async () => {
  const token = await tokenOfLink();
  expect([await tokenOfLink(), isSetupToken(token), isSetupToken(`${token}x`), isSetupToken()]).toEqual([
    token,
    true,
    false,
    false,
  ]);
  Object.assign(env(), { PUBLIC_URL: "https://chat.example.com", AUTH_SECRET: `${secret}-another` });
  expect(await setupLink()).toMatch(/^https:\/\/chat\.example\.com\/sign-in\?invite=rvs_[\w-]{22}$/);
  expect(isSetupToken(token)).toBe(false);
});

describe("isFromThisMachine", () => {
  const sent = (from: string, host: string) => isFromThisMachine(new Headers({ "x-forwarded-for": from, host }));

  it.each([
    ["127.0.0.1", "localhost:3000", true],
    ["::ffff:127.0.0.1", "localhost", true],
    ["::1", "[::1]:3000", true],
    ["127.0.0.1", "127.0.0.1:3000", true],
    ["192.168.0.7", "localhost:3000", false],
    ["172.17.0.1", "localhost:3000", false],
    ["2001:db8::1", "localhost:3000", false],
    ["127.0.0.1", "192.168.0.2:3000", false],
    ["127.0.0.1", "localhost.evil.example", false],
    ["", "localhost:3000", false],
  ])("of a request from %j to %j is %j", (from, host, expected) => {
    expect(sent(from, host)).toBe(expected);
  });

  it.each([{ PUBLIC_URL: "https://chat.example.com" }, { ALLOWED_HOSTS: ["*"] }, { TRUST_PROXY: 1 }])(
    "is false when the server is publicly reachable: %j",
    (settings) => {
      Object.assign(env(), settings);
      expect(sent("127.0.0.1", "localhost:3000")).toBe(false);
      Object.assign(env(), { PUBLIC_URL: undefined, ALLOWED_HOSTS: [], TRUST_PROXY: 0 });
    },
  );
});
