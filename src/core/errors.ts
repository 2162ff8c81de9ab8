/**
 * Errors that a person will read. `message` says what failed, for which camera or viewer, what was expected and seen;
 * `hint` says what to try next. `status` is the HTTP status (also used by RTSP) that fits.
 */
export class HearthcamError extends Error {
  readonly code: string;
  readonly status: number;
  readonly hint: string | undefined;
  /** Trying again by itself will not help: a source that fails so is dialled again only when somebody asks for it. */
  readonly permanent: boolean;

  constructor(
    code: string,
    message: string,
    options: { cause?: unknown; status?: number; hint?: string; permanent?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HearthcamError';
    this.code = code;
    this.status = options.status ?? 500;
    this.hint = options.hint;
    this.permanent = options.permanent ?? false;
  }
}

/** Bytes from outside that are not what the format says. `offset` is the byte position within the parsed input. */
export class WireError extends HearthcamError {
  readonly offset: number;

  constructor(code: string, message: string, offset: number, options: { cause?: unknown; hint?: string } = {}) {
    super(code, message, { ...options, status: 400 });
    this.name = 'WireError';
    this.offset = offset;
  }
}

/** One line for a log: the message, its causes, and the hint. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let hint: string | undefined;
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current !== undefined && current !== null; depth++) {
    if (current instanceof Error) {
      const text = current.message === '' ? current.name : current.message;
      if (!parts.some((part) => part.includes(text))) parts.push(text);
      if (current instanceof HearthcamError && hint === undefined) hint = current.hint;
      current = current.cause;
    } else {
      parts.push(String(current));
      break;
    }
  }
  return parts.join(': ') + (hint === undefined ? '' : ` (${hint})`);
}

/** For the default branch of an exhaustive `switch`. */
export function assertNever(value: never): never {
  throw new HearthcamError('internal.unreachable', `unexpected value ${JSON.stringify(value)}`);
}
