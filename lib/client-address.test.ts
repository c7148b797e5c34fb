import { expect, it } from "vitest";
import { clientAddress } from "./client-address";

it.each([
  ["203.0.113.9", "203.0.113.9"],
  ["6.6.6.6, 10.0.0.1 , 203.0.113.9 ", "203.0.113.9"],
  ["203.0.113.9:4711", "203.0.113.9"],
  ["::ffff:203.0.113.9", "203.0.113.9"],
  ["::FFFF:cb00:7109", "203.0.113.9"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::1", "2001:db8:1:2::/64"],
  ["[2001:db8:1:2:ffff::9]:4711", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["64:ff9b::203.0.113.9", "64:ff9b:0:0::/64"],
  ["", "unknown"],
  ["somebody", "unknown"],
  ["203.0.113.999", "unknown"],
])("of %j is %s", (header, address) => {
  expect(clientAddress(new Headers({ "x-forwarded-for": header }))).toBe(address);
});

it("is unknown without a header", () => {
  expect(clientAddress(new Headers())).toBe("unknown");
});
