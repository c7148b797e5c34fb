import { RequestError } from "@/packages/client/src/request";

/** A failed request of the conversation, in words for people. */
export type FailureNotice = { message: string; signIn: boolean };

export function describeFailure(error: unknown): FailureNotice {
  if (!(error instanceof RequestError)) {
    // A bug in this page: the user gets a sentence, the console the full error.
    console.error(error);
    return { message: "Something went wrong on this page. Reload it and try again.", signIn: false };
  }
  if (error.code === "unauthorized")
    return { message: "Your session has ended. What you typed stays in the message box.", signIn: true };
  if (error.code === "turn_running")
    return { message: "This chat is already answering. Your message stays in the message box.", signIn: false };
  return { message: error.message + resetTimeText(error), signIn: false };
}

/** The server gives a budget's reset in UTC; shows it in local time. */
function resetTimeText({ code, details: { resetsAt } }: RequestError): string {
  if (code !== "budget_exhausted" || typeof resetsAt !== "string") return "";
  const at = new Date(resetsAt);
  if (Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) return "";
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return ` 00:00 UTC is ${time} on your clock.`;
}
