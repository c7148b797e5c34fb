// The first account of a server administers it. It can be created freely from the same machine;
// from elsewhere it takes the link that the server prints while it has no account, or a stranger
// who finds a new server first would own it (decision 0040).
import { createHmac, timingSafeEqual } from "node:crypto";
import { hasAccounts } from "@/db/sign-up";
import { authSecrets } from "@/lib/auth";
import { clientAddress } from "@/lib/client-address";
import { env } from "@/lib/env";

/** Kept of the digest: 132 bits, too many to guess and short enough to read out. */
const tokenCharacters = 22;

const prefix = "rvs_";

/**
 * Derived, so that all servers of a database print the same token on every start, and none is
 * stored.
 */
function setupToken(): string {
  const [secret = ""] = authSecrets();
  const digest = createHmac("sha256", secret).update("rivulet setup link").digest("base64url");
  return `${prefix}${digest.slice(0, tokenCharacters)}`;
}

export function isSetupToken(token = ""): boolean {
  if (!token.startsWith(prefix)) return false;
  const [actual, known] = [Buffer.from(token), Buffer.from(setupToken())];
  return actual.length === known.length && timingSafeEqual(actual, known);
}

/**
 * True if the request came from this machine. Servers configured for other hosts or proxies cannot
 * tell: behind a local proxy every caller has its address.
 */
export function isFromThisMachine(headers: Headers): boolean {
  const { PUBLIC_URL, ALLOWED_HOSTS, TRUST_PROXY } = env();
  if (PUBLIC_URL || ALLOWED_HOSTS.length > 0 || TRUST_PROXY > 0) return false;
  const address = clientAddress(headers);
  // The /64 network of ::1.
  const loopback = address.startsWith("127.") || address === "0:0:0:0::/64";
  return (
    loopback && /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/i.test(headers.get("host") ?? "")
  );
}

/** The link that lets anyone create the first account; null once one exists. */
export async function setupLink(): Promise<string | null> {
  if (await hasAccounts()) return null;
  const base = env().PUBLIC_URL ?? `http://localhost:${process.env.PORT || 3000}`;
  return new URL(`/sign-in?invite=${setupToken()}`, base).href;
}
