import fc from "fast-check";
import { expect, it } from "vitest";
import { TextDeltas } from "./text-deltas";

/** As a provider might say it, with `rest` around the text. */
function event(content: string, rest: { id?: string; before?: object; after?: object } = {}): string {
  const choice = { index: 0, delta: { content }, finish_reason: null };
  return `data: ${JSON.stringify({ id: rest.id ?? "1", ...rest.before, choices: [choice], ...rest.after })}`;
}

/** Read alone, nothing is known from events before it. */
const alone = (text: string) => new TextDeltas().read(text);

it("reads each event as it would alone, whatever came before", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("", '"', "\\", "\n", "1", "content", '"}', "\u0007"),
  );
  const rest = fc.constantFrom(
    {},
    { id: "2" },
    { before: { model: "1" } },
    { after: { service: "1" } },
    { before: { note: "x" } },
  );
  const broken = fc.constantFrom<(whole: string) => string>(
    (whole) => whole,
    (whole) => whole.replace('"}', '","refusal":"no"}'),
    (whole) => whole.replace("null", '"stop"'),
    (whole) => whole.slice(0, -1),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(text, rest, broken), { maxLength: 8 }), (said) => {
      const deltas = new TextDeltas();
      for (const [content, around, damage] of said) {
        const whole = damage(event(content, around));
        const [read, expected] = [deltas.read(whole), alone(whole)];
        expect([read?.key, read?.text]).toEqual([expected?.key, expected?.text]);
        if (read && expected)
          expect(JSON.parse(read.write("a\n").slice(5))).toEqual(JSON.parse(expected.write("a\n").slice(5)));
      }
    }),
    { numRuns: 1_000 },
  );
});

it.each([
  ["another field", (whole: string) => whole.replace('"}', '","refusal":"no"}')],
  ["a text that is cut", (whole: string) => `${whole.slice(0, 40)}"`],
])("is not taken in by %s behind events that were plain", (_, damage) => {
  const deltas = new TextDeltas();
  for (const content of ["one", "two", "three", "four"]) expect(deltas.read(event(content))?.text).toBe(content);
  expect(deltas.read(damage(event("five")))).toBeNull();
  expect(deltas.read(event("six"))?.text).toBe("six");
});
