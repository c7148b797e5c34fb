import fc from "fast-check";
import { expect, it } from "vitest";
import { formatCursor, parseCursor } from "./cursor";

const turnId = "01940000-0000-7000-8000-00000000000a";

it("I19: survives encoding and decoding, in at most 128 safe bytes", () => {
  const cursor = fc.record({
    turnId: fc.uuid(),
    seq: fc.integer({ min: 1, max: 999_999_999 }),
    n: fc.integer({ min: 0, max: 999_999 }),
  });
  fc.assert(
    fc.property(cursor, (cursor) => {
      const text = formatCursor(cursor);
      expect(text).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
      expect(parseCursor(text)).toEqual(cursor);
    }),
  );
});

it("includes the frame number only after a chunk's first frame", () => {
  expect(formatCursor({ turnId, seq: 7, n: 0 })).toBe(`${turnId}.7`);
  expect(formatCursor({ turnId, seq: 7, n: 2 })).toBe(`${turnId}.7.2`);
});

it.each([
  "",
  ".",
  turnId,
  `${turnId}.`,
  `${turnId}.-1`,
  `${turnId}.1.`,
  `${turnId}.1.2.3`,
  `${turnId}.1e3`,
  `${turnId}.0x1`,
  `${turnId}.1\n`,
  `\n${turnId}.1`,
  `${turnId}.1\r\ndata: x`,
  ` ${turnId}.1`,
  `${turnId}.１`,
  `${turnId.toUpperCase()}.1`,
  `${turnId.slice(1)}.1`,
  `x${turnId}.1`,
  `${turnId}.1000000000`,
  `${turnId}.${"9".repeat(400)}`,
  `${turnId}.1.${"9".repeat(20)}`,
  `${turnId}.${"0".repeat(128)}`,
  "undefined.1",
])("rejects %j", (text) => expect(parseCursor(text)).toBeNull());
