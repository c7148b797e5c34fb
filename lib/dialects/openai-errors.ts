// Failures as OpenAI's API reports them: a status per class, and its error shape (docs/protocol.md
// §6.6). Pure.
import type { TurnError } from "@/lib/turn/chunks";
import type { Failure } from "./dialect";

const statusOfCode: Record<TurnError["code"], number> = {
  provider_auth: 401,
  provider_rate_limited: 429,
  provider_unavailable: 502,
  provider_timeout: 504,
  provider_invalid: 400,
  tool_failed: 500,
  storage: 503,
  interrupted: 502,
  internal: 500,
};

/** Default if the provider gives no delay. */
const retryAfterSeconds = 5;

/** A turn's failure as an HTTP error. */
export function turnFailure(error: TurnError): Omit<Failure, "requestId"> {
  const { code, message, reason, param, retryAfter = retryAfterSeconds } = error;
  const specialStatus = reason === "model_not_found" ? 404 : reason === "unreadable_answer" ? 502 : undefined;
  const status = specialStatus ?? statusOfCode[code];
  const waits = status === 429 || status === 503;
  const details = { ...(reason && { reason }), ...(param && { param }) };
  return { status, code, message, details, ...(waits && { retryAfter }) };
}

const codes: Record<string, string> = { unauthorized: "invalid_api_key", rate_limited: "rate_limit_exceeded" };

export function showError({ status, code, message, details }: Omit<Failure, "requestId">) {
  const field = status === 400 || status === 404 ? /^([\w.]{1,200}): /.exec(message)?.[1] : undefined;
  const type = status >= 500 ? "server_error" : status === 429 ? "requests" : "invalid_request_error";
  return {
    message,
    type,
    param: details?.param ?? field ?? null,
    code: details?.reason ?? codes[code] ?? code,
  };
}

/** An unavailable model is 404, as with OpenAI. */
export function statusOf({ status, details }: Omit<Failure, "requestId">): number {
  return details?.reason === "model_not_found" ? 404 : status;
}
