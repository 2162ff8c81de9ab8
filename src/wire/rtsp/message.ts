import { WireError } from '../../core/errors.ts';

/** Header fields in the order received. Names are compared without case (RFC 2326 §4.2). */
export class RtspHeaders {
  readonly entries: readonly (readonly [name: string, value: string])[];

  constructor(entries: readonly (readonly [string, string])[]) {
    this.entries = entries;
  }

  /** The first value of a field. */
  get(name: string): string | undefined {
    const wanted = name.toLowerCase();
    return this.entries.find(([key]) => key.toLowerCase() === wanted)?.[1];
  }

  /** All values of a field that may occur several times, such as WWW-Authenticate. */
  getAll(name: string): readonly string[] {
    const wanted = name.toLowerCase();
    return this.entries.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
  }
}

export interface RtspRequest {
  readonly kind: 'request';
  /** As sent, e.g. `DESCRIBE`; may be a method that we don't know. */
  readonly method: string;
  /** As sent: absolute URL, path, or `*`. */
  readonly url: string;
  readonly headers: RtspHeaders;
  readonly body: Buffer;
  /** Undefined where the sender left it out. */
  readonly cseq: number | undefined;
}

export interface RtspResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly reason: string;
  readonly headers: RtspHeaders;
  readonly body: Buffer;
  readonly cseq: number | undefined;
}

export type RtspMessage = RtspRequest | RtspResponse;

/** Values to send; undefined leaves a field out, an array repeats it. */
export type HeaderInput = Readonly<Record<string, string | number | readonly string[] | undefined>>;

const NO_BODY = Buffer.alloc(0);

/** RFC 2326 §7.1.1. Text for the codes that either side sends; others get `Error`. */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  301: 'Moved Permanently',
  302: 'Moved Temporarily',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Time-out',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  451: 'Parameter Not Understood',
  453: 'Not Enough Bandwidth',
  454: 'Session Not Found',
  455: 'Method Not Valid in This State',
  457: 'Invalid Range',
  459: 'Aggregate Operation Not Allowed',
  460: 'Only Aggregate Operation Allowed',
  461: 'Unsupported Transport',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  504: 'Gateway Time-out',
  505: 'RTSP Version Not Supported',
  551: 'Option not supported',
};

/** The words of a status (RFC 2326 §7.1.1). */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? 'Error';
}

/** @throws WireError when a value would break out of its line. */
export function serializeRequest(method: string, url: string, headers: HeaderInput, body: Buffer = NO_BODY): Buffer {
  if (!/^[A-Z_]+$/.test(method) || /[\s\p{Cc}]/u.test(url)) {
    throw new WireError('rtsp.serialize', `cannot send ${JSON.stringify(`${method} ${url}`)}`, 0);
  }
  return serialize(`${method} ${url} RTSP/1.0`, headers, body);
}

/** @throws WireError when a value would break out of its line. */
export function serializeResponse(
  response: { readonly status: number; readonly reason?: string },
  headers: HeaderInput,
  body: Buffer = NO_BODY,
): Buffer {
  return serialize(`RTSP/1.0 ${response.status} ${response.reason ?? reasonPhrase(response.status)}`, headers, body);
}

function serialize(startLine: string, headers: HeaderInput, body: Buffer): Buffer {
  let head = `${startLine}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [String(value)]) {
      if (/[\r\n\0]/.test(one)) throw new WireError('rtsp.serialize', `line break in the value of ${name}`, 0);
      head += `${name}: ${one}\r\n`;
    }
  }
  if (body.length > 0) head += `Content-Length: ${body.length}\r\n`;
  head += '\r\n';
  return body.length === 0 ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body]);
}

// Cameras write "RTSP/1.0  200 OK", "RTSP/1.0 200" and "RTSP/1.0 200OK".
const STATUS_LINE = /^RTSP\/\d+\.\d+\s+(\d{3})\s*(.*)$/;
// The URL of some clients has unescaped blanks: it is all between the method and the version.
const REQUEST_LINE = /^([A-Z][A-Z_]*)\s+(\S.*?)\s+RTSP\/\d+\.\d+\s*$/;

/** True where a complete first line is one of RTSP. */
export function isStartLine(line: string): boolean {
  return line.startsWith('RTSP/') ? STATUS_LINE.test(line) : REQUEST_LINE.test(line);
}

/**
 * Parses start line and header fields (RFC 2326 §6, §7), without the blank line at the end. The body is attached by the
 * caller. Tolerates bare LF, folded lines, blanks around the colon, and lines without a colon (left out).
 * @throws WireError `rtsp.start` where the first line is not one of RTSP.
 */
export function parseHead(text: string): RtspMessage {
  const lines = text.split(/\r?\n/);
  const start = (lines[0] ?? '').trimEnd();
  const entries: [string, string][] = [];
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] ?? '';
    const last = entries.at(-1);
    if ((line.startsWith(' ') || line.startsWith('\t')) && last !== undefined) {
      last[1] = `${last[1]} ${line.trim()}`.trim();
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    entries.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()]);
  }
  const headers = new RtspHeaders(entries);
  const cseqText = headers.get('cseq');
  const cseq = cseqText !== undefined && /^\d{1,15}/.test(cseqText) ? Number.parseInt(cseqText, 10) : undefined;
  const status = STATUS_LINE.exec(start);
  if (status !== null) {
    const [, code = '', reason = ''] = status;
    return { kind: 'response', status: Number(code), reason: reason.trim(), headers, body: NO_BODY, cseq };
  }
  const request = REQUEST_LINE.exec(start);
  if (request === null) {
    throw new WireError('rtsp.start', `not an RTSP request or response: ${JSON.stringify(start.slice(0, 80))}`, 0);
  }
  const [, method = '', url = ''] = request;
  return { kind: 'request', method, url, headers, body: NO_BODY, cseq };
}

/** Content-Length; 0 where absent. @throws WireError where it is not a number. */
export function contentLength(headers: RtspHeaders): number {
  const text = headers.get('content-length');
  if (text === undefined || text === '') return 0;
  if (!/^\d{1,12}$/.test(text)) {
    throw new WireError('rtsp.length', `Content-Length is ${JSON.stringify(text.slice(0, 40))}, expected a number`, 0);
  }
  return Number(text);
}
