import type { IncomingHttpHeaders } from "node:http";
import { describe, expect, it } from "vitest";
import { type HostSettings, hostOf, isAllowedHost, trustForwarded } from "./hosts";

const plain: HostSettings = { allowedHosts: [], trustedHops: 0 };

function afterTrust(headers: IncomingHttpHeaders, settings: Partial<HostSettings>) {
  trustForwarded(headers, { ...plain, ...settings });
  return headers;
}

describe("isAllowedHost", () => {
  const named = { ...plain, allowedHosts: ["Chat.internal", "exact.example:8443", "*.apps.example"] };
  const settings = { ...named, publicUrl: "https://chat.example.com/" };
  it.each([
    "localhost",
    "localhost:3000",
    "app.localhost:3000",
    "127.0.0.1:3000",
    "192.168.1.20",
    "[::1]:3000",
    "[2001:db8::7]",
    "chat.example.com",
    "chat.example.com.",
    "chat.example.com:8080",
    "chat.internal:3000",
    "exact.example:8443",
    "one.apps.example",
    undefined,
  ])("accepts %s", (host) => expect(isAllowedHost(host, settings)).toBe(true));

  it.each([
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "chat.example.com.evil.example",
    "evilchat.example.com",
    "exact.example",
    "apps.example",
    "notapps.example",
    "",
    "local host",
    "chat.example.com:port",
    "user@chat.example.com",
    "chat.example.com/evil.example",
    "1.2.3.4.5",
  ])("rejects %j", (host) => expect(isAllowedHost(host, settings)).toBe(false));

  it("accepts every valid host name with *", () => {
    const every = { ...plain, allowedHosts: ["*"] };
    expect(isAllowedHost("evil.example", every)).toBe(true);
    expect(isAllowedHost("evil.example/x", every)).toBe(false);
  });
});

describe("trustForwarded", () => {
  const sent = () => ({
    host: "inner:3000",
    "x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.0.0.1",
    "x-forwarded-host": "chat.example.com",
    "x-forwarded-proto": "https",
    "x-forwarded-port": "8443",
    forwarded: "host=evil.example",
  });

  it("trusts no proxy by default", () => {
    expect(afterTrust(sent(), {})).toEqual({ host: "inner:3000" });
  });

  it.each([
    [1, "10.0.0.1"],
    [2, "203.0.113.9"],
    [3, "6.6.6.6"],
  ])("uses the address seen by the outermost of %i proxies", (trustedHops, address) => {
    const headers = afterTrust(sent(), { trustedHops });
    expect(headers).toEqual({
      host: "inner:3000",
      "x-forwarded-for": address,
      "x-forwarded-host": "chat.example.com",
      "x-forwarded-proto": "https",
    });
    expect(hostOf(headers)).toBe("chat.example.com");
  });

  it("derives the scheme from the configured address, for its host only", () => {
    const publicUrl = "https://chat.example.com";
    const protoOf = (host: string) => afterTrust({ host }, { publicUrl })["x-forwarded-proto"];
    expect(protoOf("Chat.example.com")).toBe("https");
    expect(protoOf("localhost:3000")).toBeUndefined();
  });
});
