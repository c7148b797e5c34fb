// Secrets that must leave a server only towards its provider and its database, searched for in
// everything a test server prints and a test client receives (docs/reliability.md, I22). No test
// framework: test/leak-check.ts turns findings into failures.

/** `answer`: what a client receives; `output`: what the server prints. */
type Side = "answer" | "output";
type Secret = { name: string; side: Side | "both"; pattern: RegExp };

/**
 * Part of every prompt made with `newKey` (test/server/cluster.ts). Answers to its user may repeat
 * it, output may not.
 */
export const promptCanary = "promptcanary5e1f";

const secrets = new Map<string, Secret>();
const found = new Set<string>();
/** Longer than any secret, to find one split between two packets. */
const carry = 400;

keepSecret("a prompt", promptCanary, "output");
keep({ name: "an access token", side: "output", pattern: /rvl_[\w-]{20,}/ });
keep({ name: "a session", side: "output", pattern: /eyJ[\w-]{30,}\.[\w-]*\./ });
keep({ name: "a stack", side: "answer", pattern: /\bat [^\n]{0,160}[/\\][^\s"\\]{1,160}:\d+:\d+/ });

/** Searches for this text from now on, unless it is too short to be distinctive. */
export function keepSecret(name: string, text: string | undefined, side: Secret["side"] = "both"): void {
  if (!text || text.length < 10) return;
  keep({ name, side, pattern: new RegExp(RegExp.escape(text)) });
}

/** Returns a function that scans the text of one place, piece by piece. */
export function leakWatch(side: Side, place: string): (piece: string) => void {
  let rest = "";
  return (piece) => {
    const text = rest + piece;
    rest = text.slice(-carry);
    for (const secret of secrets.values()) {
      if (secret.side !== "both" && secret.side !== side) continue;
      const match = secret.pattern.exec(text);
      if (match) found.add(`${secret.name} in ${place}: …${text.slice(Math.max(0, match.index - 300), match.index)}`);
    }
  };
}

/** Findings since the last call, each with its preceding text. */
export function takeLeaks(): string[] {
  const leaks = [...found];
  found.clear();
  return leaks;
}

function keep(secret: Secret): void {
  secrets.set(`${secret.side} ${secret.pattern.source}`, secret);
}
