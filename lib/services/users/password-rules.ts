// Password choice rules. Length is checked with the input (lib/services/users/users.ts); this rejects what
// attackers try first: common passwords from leaks, and the email address itself.
import { AppError } from "@/lib/errors";

let common: Promise<Set<string>> | undefined;

/**
 * 49,000 lower-case passwords, mostly from leaks. Loaded on first use: 5 MB that most processes
 * never need.
 */
function commonPasswords(): Promise<Set<string>> {
  common ??= import("@zxcvbn-ts/language-common").then(
    ({ dictionary }) => new Set(dictionary["passwords-common"].map(String)),
  );
  return common;
}

/** Throws bad_request with a message for the user. */
export async function requireUncommonPassword(email: string, password: string): Promise<void> {
  const lower = password.toLowerCase();
  const [localPart = ""] = email.split("@");
  if (lower === email || lower === localPart)
    throw new AppError("bad_request", "password: must not be your email address. Choose another one.");
  if ((await commonPasswords()).has(lower))
    throw new AppError("bad_request", "password: must not be a common one. Choose another one.");
}
