import { countTokens as exactly } from "gpt-tokenizer/encoding/cl100k_base";
import { describe, expect, it } from "vitest";
import { countTokens } from "./token-count";

const million = 1_000_000;
/** Deterministic. */
function randomLetters(length: number): string {
  let state = 7;
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return String.fromCharCode(97 + (Math.floor(state / 65_536) % 26));
  }).join("");
}

const texts: Record<string, string> = {
  English: "The rivulet is a very small river, and it runs (slowly) to the sea: why? 1,234 people asked. ",
  code: "for (let i = 0; i < items.length; i++) {\n  const x_y = items[i]?.value ?? null;\n}\n",
  Chinese: "人工智能正在改变世界，我们每天都在使用它。",
  "one letter": "a",
  spaces: " ",
  emoji: "👩‍👩‍👧",
  "random letters without a break": randomLetters(million),
  "base64 without a break": "q9Zk3LmN0pXyR7sTUvW8aBcDeFgHiJ2K4M6oQ+/",
};

describe.each(Object.entries(texts))("of %s", (name, unit) => {
  const text = unit.repeat(Math.ceil(million / unit.length)).slice(0, million);

  it("counts what the tokenizer counts for the whole, or little more", async () => {
    const sample = text.slice(0, 5_000);
    const whole = exactly(sample);
    const counted = await countTokens(sample);
    expect(counted).toBeGreaterThanOrEqual(whole);
    expect(counted).toBeLessThanOrEqual(whole * 1.1 + 10);
  });

  it("counts 1 MB without blocking the event loop", async () => {
    await countTokens("The vocabulary is loaded.");
    let longestMs = 0;
    let since = process.cpuUsage();
    let counting = true;
    // CPU time, since other processes of a busy machine delay this one too.
    const tick = () => {
      const { user, system } = process.cpuUsage(since);
      longestMs = Math.max(longestMs, (user + system) / 1_000);
      since = process.cpuUsage();
      if (counting) setImmediate(tick);
    };
    setImmediate(tick);
    const before = process.cpuUsage();
    await countTokens(text);
    counting = false;
    const { user, system } = process.cpuUsage(before);
    console.log(
      `1 MB of ${name}: ${Math.round((user + system) / 1_000)} ms of CPU, at most ${Math.round(longestMs)} ms at once`,
    );
    expect(longestMs).toBeLessThan(50);
  });
});

it("counts text that looks like a control token as text", async () => {
  expect(await countTokens("<|endoftext|><|im_start|>")).toBeGreaterThan(4);
});

it("counts a text only once", async () => {
  const text = "Once. ".repeat(100_000);
  const cpuMs = async () => {
    const before = process.cpuUsage();
    await countTokens(text);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  const first = await cpuMs();
  expect(await cpuMs()).toBeLessThan(first / 2);
});
