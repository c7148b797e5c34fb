import { describe, expect, it } from "vitest";
import { undeclaredHost } from "./claimed-host";

const host = (text: string, address: string) => undeclaredHost(text, new URL(address));

describe("undeclaredHost", () => {
  it.each([
    ["https://bank.example/login", "https://evil.example/", "evil.example"],
    ["bank.example", "https://evil.example:8443/x", "evil.example:8443"],
    ["www.bank.example", "https://evil.example", "evil.example"],
    ["Sign in at bank.example now", "https://bank.example.evil.test", "bank.example.evil.test"],
    ["https://bank.example@evil.test/", "https://bank.example@evil.test/", "evil.test"],
    ["evil.test and bank.example", "https://evil.test", "evil.test"],
    ["bank\u2024example", "https://evil.test", "evil.test"],
    ["bank。example", "https://evil.test", "evil.test"],
    ["ｂａｎｋ．ｅｘａｍｐｌｅ", "https://evil.test", "evil.test"],
    ["ban\u202ak.exam\u200eple", "https://evil.test", "evil.test"],
    ["127.0.0.1", "http://10.0.0.1", "10.0.0.1"],
    ["click here", "https://xn--pple-43d.com", "xn--pple-43d.com"],
    ["аpple.com", "https://xn--pple-43d.com", "xn--pple-43d.com"],
    ["help@bank.example", "mailto:thief@evil.test", "thief@evil.test"],
    ["1.".repeat(50_000), "https://evil.test", "evil.test"],
    ["bank.example", "mailto:thief@evil.test", "thief@evil.test"],
  ])("%s leads to %s: warns with %s", (text, address, said) => expect(host(text, address)).toBe(said));

  it.each([
    ["click here", "https://evil.test"],
    ["https://example.org/a/file.html?x=y.z", "https://example.org/a/file.html?x=y.z"],
    ["example.org", "https://www.example.org/"],
    ["www.example.org", "https://example.org/"],
    ["example.org", "https://docs.example.org/"],
    ["EXAMPLE.org", "https://example.org/"],
    ["help@bank.example", "mailto:help@bank.example?subject=x"],
    ["Version 1.2, see §3.4", "https://evil.test"],
    ["", "https://evil.test"],
  ])("%s leads to %s: no warning", (text, address) => expect(host(text, address)).toBeNull());
});
