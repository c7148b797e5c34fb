// One HTTP request to the server, and the one error class of this package (docs/protocol.md §3).
// No retries and no sign-in here: the page decides what an error means.

/** Where the server is and how to reach it. The default suits a page served by it. */
export type Http = {
  /** Without a trailing slash; empty for the page's own origin. */
  baseUrl?: string;
  /** Sent with every request, e.g. `Authorization`. Called for each. */
  headers?: () => Record<string, string>;
};

type Details = {
  /** HTTP status, or 0 without a response. */
  status: number;
  code: string;
  requestId?: string;
  /** Other public fields of the error, e.g. the `turnId` of a running turn. */
  details?: Record<string, unknown>;
  retryAfterMs?: number;
  cause?: unknown;
};

/**
 * `message` is the server's own and may be shown. Codes are those of docs/protocol.md §3 plus two
 * local ones: `unreachable` (status 0: no response, or it broke off) and `bad_response` (violates
 * the protocol).
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
   * Worth retrying unchanged: nothing arrived, or a proxy or a draining server is temporarily
   * unavailable. A failure that names its turn is not: it is how that turn ended.
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

/**
 * Returns any 2xx response. Otherwise throws RequestError, or the signal's reason after an abort.
 */
export async function request(http: Http, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await abortableRead(init.signal, () =>
    fetch(`${http.baseUrl ?? ""}${path}`, { ...init, headers: { ...http.headers?.(), ...init.headers } }),
  );
  if (response.ok) return response;
  throw parseFailure(response, await abortableRead(init.signal, () => response.text()));
}

/** Runs one network read; any failure becomes `unreachable`, or the abort's reason. */
export async function abortableRead<T>(signal: AbortSignal | null | undefined, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw unreachable(cause);
  }
}

const completeUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The turn of a response. Browsers accept a truncated response head, so an incomplete id counts as
 * none. Headers arrive in alphabetical order: if this one is complete, so is `X-Chat-Id`.
 */
export function turnIdOf(response: Response): string | undefined {
  const id = response.headers.get("X-Turn-Id") ?? "";
  return completeUuid.test(id) ? id : undefined;
}

/** Formats differ: an object or a string in `error`, or a string in `content` or `detail`. */
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

/** Null if not a JSON object, e.g. a proxy's error page. */
function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
