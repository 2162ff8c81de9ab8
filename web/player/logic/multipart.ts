/** Above this a part is no picture of a camera; the stream is given up. */
const MAX_PART_BYTES = 16 * 1024 * 1024;
const MAX_HEADER_BYTES = 4096;

/**
 * Takes `multipart/x-mixed-replace` apart (RFC 2046 §5.1.1): parts with a `Content-Length` by it, others up to the next
 * boundary. Bytes in, whole parts out.
 */
export class MultipartReader {
  readonly #boundary: Uint8Array;
  #pending: Uint8Array = new Uint8Array(0);

  constructor(boundary: string) {
    this.#boundary = new TextEncoder().encode(`--${boundary}`);
  }

  /** @throws RangeError when a part or its header is larger than any picture's. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#pending = concat(this.#pending, chunk);
    const parts: Uint8Array[] = [];
    for (;;) {
      const start = indexOf(this.#pending, this.#boundary, 0);
      if (start < 0) break;
      const head = start + this.#boundary.length;
      const headerEnd = indexOf(this.#pending, HEADER_END, head);
      if (headerEnd < 0) {
        if (this.#pending.length - head > MAX_HEADER_BYTES) throw new RangeError('a part of the stream has no header');
        break;
      }
      const body = headerEnd + HEADER_END.length;
      const header = new TextDecoder('latin1').decode(this.#pending.subarray(head, headerEnd));
      const length = /^content-length:[ \t]*(\d{1,9})[ \t]*$/im.exec(header)?.[1];
      const end = length === undefined ? indexOf(this.#pending, this.#boundary, body) : body + Number(length);
      if (end - body > MAX_PART_BYTES || this.#pending.length - body > MAX_PART_BYTES) {
        throw new RangeError('a part of the stream is larger than any picture');
      }
      if (end < 0 || this.#pending.length < end) break;
      // Without a length the part ends before the line break that belongs to the boundary.
      parts.push(this.#pending.slice(body, length === undefined ? Math.max(body, end - 2) : end));
      this.#pending = this.#pending.subarray(end);
    }
    if (parts.length === 0 && this.#pending.length > MAX_PART_BYTES + MAX_HEADER_BYTES) {
      throw new RangeError('the stream has no boundary');
    }
    return parts;
  }
}

const HEADER_END = new TextEncoder().encode('\r\n\r\n');

/** The boundary of a `Content-Type`, without quotes and without the dashes that some servers put there. */
export function boundaryOf(contentType: string): string | null {
  const match = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const text = match?.[1] ?? match?.[2];
  return text === undefined ? null : text.replace(/^--/, '');
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function indexOf(bytes: Uint8Array, what: Uint8Array, from: number): number {
  const first = what[0] ?? 0;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let index = 1;
    while (index < what.length && bytes[at + index] === what[index]) index++;
    if (index === what.length) return at;
  }
  return -1;
}
