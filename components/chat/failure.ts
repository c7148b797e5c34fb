import { RequestError } from "@/lib/client/request";

/** A request that the conversation could not make, in words. */
export type Failure = { message: string; signIn: boolean };

export function describe(error: unknown): Failure {
  if (!(error instanceof RequestError)) {
    // A bug of this page: the person gets a sentence, the console the whole.
    console.error(error);
    return { message: "Something went wrong on this page. Reload it and try again.", signIn: false };
  }
  if (error.code === "unauthorized") return { message: "Your session has ended.", signIn: true };
  if (error.code === "turn_running")
    return { message: "This chat is already answering. Your message waits in the composer.", signIn: false };
  return { message: error.message, signIn: false };
}
