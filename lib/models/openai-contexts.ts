// Context sizes of OpenAI's models, which its API does not report; from the metadata of
// gpt-tokenizer 4.0.0. Pure.

/** Prompt and answer together; the prompt's own limit where that is smaller, as with GPT-5. */
const contexts: Record<string, number> = {
  "gpt-5-chat-latest": 128_000,
  "gpt-5": 272_000,
  "gpt-5.1-chat-latest": 128_000,
  "gpt-5.1": 272_000,
  "gpt-5.2-chat-latest": 128_000,
  "gpt-5.2": 272_000,
  "gpt-5.3-chat-latest": 128_000,
  "gpt-5.3": 272_000,
  "gpt-5.4-mini": 272_000,
  "gpt-5.4-nano": 272_000,
  "gpt-5.4": 1_050_000,
  "gpt-5.5": 1_050_000,
  "gpt-4.1": 1_047_576,
  "gpt-4o": 128_000,
  "gpt-4-turbo": 128_000,
  "gpt-4": 8_192,
  "gpt-3.5": 16_385,
  "o1-mini": 128_000,
  "o1-preview": 128_000,
  o1: 200_000,
  o3: 200_000,
  "o4-mini": 200_000,
  "gpt-oss": 131_072,
};

/**
 * Dated and sized variants have their family's context: the first entry that prefixes the name.
 * Null for others.
 */
export function openaiContextTokens(name: string): number | null {
  const family = Object.keys(contexts).find((each) => name === each || name.startsWith(`${each}-`));
  return (family && contexts[family]) || null;
}
