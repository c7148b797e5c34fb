// The verbs on an account as a whole: another password. Each proves anew who asks: a session that was left open, or a token
// that leaked, is not enough.
import { z } from "zod";
import { replacePassword } from "@/db/account";
import type { User } from "@/lib/auth";
import { AppError } from "@/lib/errors";
import { requireUncommonPassword } from "./password-rules";
import { hashPassword } from "./passwords";
import { findByPassword, newPassword } from "./users";

export const passwordChange = z
  .object({ currentPassword: z.string().max(200), newPassword })
  .meta({ id: "PasswordChange" });

/**
 * Ends all sessions and revokes all tokens of the user, in the same transaction. Throws forbidden when the current password
 * is wrong, bad_request when the new one will not do.
 */
export async function changePassword(
  user: User,
  { currentPassword, newPassword }: z.output<typeof passwordChange>,
  address: string,
): Promise<void> {
  const email = await provePassword(user, currentPassword, address);
  await requireUncommonPassword(email, newPassword);
  await replacePassword(user.id, await hashPassword(newPassword));
}

/** The account's address, once the password is known to be right. */
async function provePassword({ id, email }: User, password: string, address: string): Promise<string> {
  if (email === null) throw new AppError("forbidden", "A guest has no password. Create an account to have one.");
  const proved = await findByPassword(email, password, address);
  if (proved?.id !== id) throw new AppError("forbidden", "The current password is wrong. Nothing was changed.");
  return email;
}
