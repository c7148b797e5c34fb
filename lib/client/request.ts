// One HTTP request to the server and the one error that everything in lib/client throws (docs/protocol.md §3).
// No retry lives here, and no sign-in: what an error means for the page is the page's matter.

/** Where the server is and how to speak to it. The default suits a page that the server itself delivered. */
export type Http = {
  /** Without a trailing slash; empty for the page's own origin. */
  baseUrl?: string;
  /** Sent with every request, such as `Authorization`. Asked anew each time. */
  headers?: () => Record<string, string>;
};

type Details = {
  /** The HTTP status, or 0 when no answer came. */
  status: number;
  code: string;
  requestId?: string;
  /** Further public fields of the error, such as the `turnId` of a running turn. */
  details?: Record<string, unknown>;
  retryAfterMs?: number;
  cause?: unknown;
};

/**
 * `message` is the server's own sentence and may be shown. Codes are those of docs/protocol.md §3, and two that
 * are made here: `unreachable` (status 0: no answer, or it broke off) and `bad_response` (not what the protocol says).
 */
export class RequestError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  readonly details: Record<string, unknown>;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { status, code, requestId, details = {}, retryAfterMs, cause }: Details) {
    super(message, { cause });
    this.name = "RequestError";
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
  }

  /**
   * Worth repeating unchanged: nothing arrived, or a proxy or a draining server says "not now". A failure that names
   * its turn is none of those: it is how that turn ended.
   */
  get temporary(): boolean {
    return this.code === "unreachable" || ([502, 503, 504].includes(this.status) && this.details.turnId === undefined);
  }
}

export function unreachable(cause?: unknown): RequestError {
  return new RequestError("The server cannot be reached.", { status: 0, code: "unreachable", cause });
}

export function badResponse(message: string, status: number, cause?: unknown): RequestError {
  return new RequestError(message, { status, code: "bad_response", cause });
}

/** Answers any 2xx response. Throws RequestError for everything else, and the signal's reason once that is aborted. */
export async function request(http: Http, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await reading(init.signal, () =>
    fetch(`${http.baseUrl ?? ""}${path}`, { ...init, headers: { ...http.headers?.(), ...init.headers } }),
  );
  if (response.ok) return response;
  throw parseFailure(response, await reading(init.signal, () => response.text()));
}

/** Runs one read from the network; whatever breaks it becomes `unreachable`, or the reason of the abort. */
export async function reading<T>(signal: AbortSignal | null | undefined, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw unreachable(cause);
  }
}

const wholeUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The turn a response belongs to. A browser takes a head that was cut off for a whole one, so an id that is not whole
 * is none. Headers come in alphabetical order: with this one whole, `X-Chat-Id` is.
 */
export function turnIdOf(response: Response): string | undefined {
  const id = response.headers.get("X-Turn-Id") ?? "";
  return wholeUuid.test(id) ? id : undefined;
}

/** Each format says it its own way: an object or a sentence in `error`, or a sentence in `content` or `detail`. */
function parseFailure(response: Response, text: string): RequestError {
  const { status } = response;
  const { error, content, detail, ...around } = parseObject(text) ?? {};
  const { message, ...inside } = typeof error === "object" && error !== null ? { ...error } : noFields;
  const { code, requestId, ...details } = { ...around, ...inside };
  const turnId = turnIdOf(response);
  const retryAfterS = Number(response.headers.get("Retry-After") ?? Number.NaN);
  const sentence = [message, error, content, detail].find((each) => typeof each === "string");
  return new RequestError(sentence ?? `The server answered with status ${status}.`, {
    status,
    code: typeof code === "string" ? code : `http_${status}`,
    requestId: typeof requestId === "string" ? requestId : undefined,
    details: { ...details, ...(turnId && { turnId }) },
    retryAfterMs: retryAfterS >= 0 ? retryAfterS * 1000 : undefined,
  });
}

const noFields: { message?: unknown; code?: unknown; requestId?: unknown } = {};

/** Null for what is not a JSON object: an error page of some proxy. */
function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
