// Changing a password and deleting an account. Both require fresh proof of identity: an unattended
// session or a leaked token is not enough.
import { z } from "zod";
import { anonymizeUsage, detachAccount, replacePassword } from "@/db/account";
import type { Caller, User } from "@/lib/auth";
import { AppError } from "@/lib/errors";
import { turnLog } from "@/lib/log/turn-log";
import { deleteWithEverything } from "@/lib/services/sweep";
import { requireUncommonPassword } from "./password-rules";
import { hashPassword } from "./passwords";
import { requireSession } from "./sessions";
import { findByPassword, newPassword } from "./users";

export const passwordChange = z
  .object({ currentPassword: z.string().max(200), newPassword })
  .meta({ id: "PasswordChange" });

/**
 * Ends all sessions and revokes all tokens of the user, in the same transaction. Throws forbidden
 * if the current password is wrong, bad_request if the new one is not acceptable.
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

export const accountDeletion = z
  .object({
    password: z.string().max(200).optional().describe("The account's password. Guests have none."),
    confirm: z.literal(true).optional().describe("For guests, instead of the password."),
  })
  .meta({ id: "AccountDeletion" });

/**
 * Deletes the user with all data: chats, documents, tasks, sessions, tokens. Running answers are
 * stopped, and sign-in is blocked from the start. Throws forbidden without proof: the password, or
 * for a guest the session and `confirm`.
 */
export async function deleteAccount(
  caller: Caller,
  { password, confirm }: z.output<typeof accountDeletion>,
  address: string,
): Promise<void> {
  const { user } = caller;
  if (!user.guest) await provePassword(user, password ?? "", address);
  else {
    requireSession(caller);
    if (!confirm) throw new AppError("bad_request", "confirm: must be true. Everything is deleted permanently.");
  }
  for (const turnId of await detachAccount(user.id)) await turnLog().requestStop(turnId);
  await deleteWithEverything(user.id);
  await anonymizeUsage(user.id);
}

/** Returns the account's email once the password is verified. */
async function provePassword({ id, email }: User, password: string, address: string): Promise<string> {
  if (email === null) throw new AppError("forbidden", "A guest has no password. Create an account to have one.");
  const proved = await findByPassword(email, password, address);
  if (proved?.id !== id) throw new AppError("forbidden", "The current password is wrong. Nothing was changed.");
  return email;
}
