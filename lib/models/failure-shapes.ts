// Recognises failure reports and pings among stream objects and 200 bodies. Pure.
import { isObject, type JsonObject, numberOf } from "./answer-events";

/**
 * The reported failure, or null. `name`: the event's. Answers have `choices`, so only a field no
 * answer uses marks a failure.
 */
export function failureIn(object: JsonObject, name?: string): unknown {
  const { error, base_resp: minimax } = object;
  if (error && !isEmpty(error)) return error;
  if (name === "error" || object.object === "error" || object.type === "error") return object;
  if (isObject(minimax) && numberOf(minimax.status_code)) {
    const { status_code: code, status_msg: message } = minimax;
    return { code, message };
  }
  return object.choices === undefined || object.choices === null ? failureWithoutChoices(object) : null;
}

function failureWithoutChoices(object: JsonObject): unknown {
  const { errors, detail } = object;
  // Cloudflare.
  if (Array.isArray(errors) && errors.length > 0) return errors[0];
  // FastAPI.
  if (typeof detail === "string" || Array.isArray(detail)) return { message: detail };
  const code = object.code ?? object.error_code ?? object.status ?? object.status_code;
  const message = object.message ?? object.msg ?? object.error_msg ?? object.error_message;
  if (typeof message !== "string" || object.usage !== undefined) return null;
  const isFine =
    code === undefined || code === null || /^(?:0|2\d\d|ok|success|running|processing)?$/i.test(String(code));
  return object.success === false || !isFine ? { ...object, code } : null;
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

/** A keep-alive, not an object of another API. */
export function isPing(object: JsonObject, name?: string): boolean {
  return (
    isEmpty(object) || [name, object.type, object.event].some((word) => typeof word === "string" && pings.has(word))
  );
}

const pings = new Set(["ping", "keepalive", "keep-alive", "keep_alive", "heartbeat", "processing"]);
