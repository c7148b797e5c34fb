// The one error class, and the one table from its codes to HTTP statuses (docs/protocol.md §3). A
// plain Error is a bug: it is logged once with the request id and shown as "internal".

const statusOf = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  turn_running: 409,
  conflict: 409,
  too_large: 413,
  storage_full: 413,
  key_reused: 422,
  rate_limited: 429,
  limit_reached: 429,
  budget_exhausted: 429,
  internal: 500,
  unavailable: 503,
} as const;

export type ErrorCode = keyof typeof statusOf;

type Options = {
  /** The underlying failure; logged only, never sent. */
  cause?: unknown;
  /** Seconds for `Retry-After`. */
  retryAfter?: number;
  /** Methods for `Allow`. */
  allow?: string;
  /** Other public fields of the error body, e.g. the `turnId` of a running turn. */
  details?: Record<string, string | number>;
};

export class AppError extends Error {
  readonly code: ErrorCode;
  /** Shown to the client verbatim: what happened, what was kept, what to do next. */
  readonly publicMessage: string;
  readonly retryAfter: number | undefined;
  readonly allow: string | undefined;
  readonly details: Record<string, string | number> | undefined;

  constructor(code: ErrorCode, publicMessage: string, { cause, retryAfter, allow, details }: Options = {}) {
    super(publicMessage, { cause });
    this.name = "AppError";
    this.code = code;
    this.publicMessage = publicMessage;
    this.retryAfter = retryAfter;
    this.allow = allow;
    this.details = details;
  }

  /**
   * Works like `instanceof` across bundles: shared objects may throw any bundle's copy of this
   * class.
   */
  static is(error: unknown): error is AppError {
    return error instanceof Error && error.name === "AppError";
  }

  get status(): number {
    return statusOf[this.code];
  }
}
