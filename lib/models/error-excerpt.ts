// A provider's error text for the operator (LOG_PROVIDER_ERRORS=on): short, without keys, without
// credentials and queries in URLs, and without quotes of the prompt. Never for a client.
import { providerReport } from "./provider-report";

const maxLength = 500;
/** A run of this many characters that also occurs in the prompt is considered quoted from it. */
const runLength = 16;
/** Of a longer prompt only the end is checked, which a provider would quote. */
const maxPromptLength = 200_000;
const masked = "[…]";

/**
 * Null if this is no provider error or has no text. `secrets`: values of keys and the like.
 * `prompt`: what was sent, besides what the error itself records.
 */
export function providerExcerpt(error: unknown, secrets: string[], prompt: string): string | null {
  const report = providerReport(error);
  if (!report) return null;
  const sent = `${prompt}\n${stringsIn(report.sent)}`.slice(-maxPromptLength);
  let text = report.message || report.body;
  for (const secret of secrets) if (secret.length > 3) text = text.replaceAll(secret, masked);
  text = text
    .replace(/\b(https?|wss?):\/\/[^\s"'<>]{1,2000}/gi, withoutSecrets)
    .replace(/\b(Bearer|Basic)\s+\S+/gi, `$1 ${masked}`)
    // Keys of any provider: long, mixing letters and digits.
    .replace(/[\w+/=-]{20,}/g, (word) => (/\d/.test(word) && /[a-z]/i.test(word) ? masked : word))
    .replace(/\b(sk|pk|rk|key|token)[-_][\w-]{4,}/gi, masked);
  text = withoutRunsOf(sent, text).replace(/\s+/g, " ").trim();
  return text ? text.slice(0, maxLength) : null;
}

/** All strings of a value, one per line. Requests are not deep. */
function stringsIn(value: unknown, depth = 0): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || depth > 8) return "";
  return Object.values(value)
    .map((each) => stringsIn(each, depth + 1))
    .join("\n");
}

function withoutSecrets(address: string): string {
  if (!URL.canParse(address)) return masked;
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname}`;
}

function withoutRunsOf(sent: string, text: string): string {
  const escaped = JSON.stringify(sent);
  const isSent = (run: string) => sent.includes(run) || escaped.includes(run);
  let result = "";
  for (let at = 0; at < text.length && result.length <= maxLength; ) {
    let end = at + runLength;
    if (end > text.length || !isSent(text.slice(at, end))) {
      result += text[at++];
      continue;
    }
    while (end < text.length && isSent(text.slice(end - runLength + 1, end + 1))) end++;
    result += masked;
    at = end;
  }
  return result;
}
