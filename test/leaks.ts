// What must never leave a server but to its provider and its database, and where it was found all the same: whatever a
// test server prints and whatever a test client receives is searched here (docs/reliability.md, I22). No test framework:
// test/leak-check.ts makes a finding a failure.

/** `answer`: what a client receives; `output`: what the server prints. */
type Side = "answer" | "output";
type Secret = { name: string; side: Side | "both"; pattern: RegExp };

/** Part of every prompt made with `newKey` (test/server/cluster.ts). A person's own answers may repeat it, no output may. */
export const promptCanary = "promptcanary5e1f";

const secrets = new Map<string, Secret>();
const found = new Set<string>();
/** Longer than any secret: what may be split between two packets. */
const carry = 400;

keepSecret("a prompt", promptCanary, "output");
keep({ name: "an access token", side: "output", pattern: /rvl_[\w-]{20,}/ });
keep({ name: "a session", side: "output", pattern: /eyJ[\w-]{30,}\.[\w-]*\./ });
keep({ name: "a stack", side: "answer", pattern: /\bat [^\n]{0,160}[/\\][^\s"\\]{1,160}:\d+:\d+/ });

/** From now on this text is searched for. Short ones are not: they would be found where they mean nothing. */
export function keepSecret(name: string, text: string | undefined, side: Secret["side"] = "both"): void {
  if (!text || text.length < 10) return;
  keep({ name, side, pattern: new RegExp(RegExp.escape(text)) });
}

/** Takes text of one place, piece by piece. */
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

/** What was found since the last call, each with what stood before it. */
export function takeLeaks(): string[] {
  const leaks = [...found];
  found.clear();
  return leaks;
}

function keep(secret: Secret): void {
  secrets.set(`${secret.side} ${secret.pattern.source}`, secret);
}
