import { WireError } from '../../core/errors.ts';
import { ByteQueue } from '../byte-queue.ts';

/** One part of a multipart body (RFC 2046 §5.1), for cameras `multipart/x-mixed-replace` with JPEG files. */
export interface Part {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

const MAX_PREAMBLE_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_PART_BYTES = 8 * 1024 * 1024;
const LF = Buffer.from('\n');
const SOI = Buffer.from([0xff, 0xd8]);

/** The `boundary` parameter of a Content-Type, as written; undefined when there is none. */
export function boundaryOf(contentType: string): string | undefined {
  const match = /;\s*boundary\s*=\s*(?:"([^"]*)"|([^;\s]+))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  return boundary === undefined || boundary === '' ? undefined : boundary;
}

/**
 * Takes an endless multipart body apart. What stands between the parts is learnt from the first line that looks like a
 * delimiter, because cameras announce one boundary and write another (with `--` in the parameter already, without it in
 * the body, or another word altogether). A part without Content-Length ends where the next delimiter begins.
 */
export class MultipartReader {
  readonly #queue = new ByteQueue();
  readonly #announced: string | undefined;
  #delimiter: Buffer | undefined;
  #headers: Map<string, string> | undefined;
  #bodyBytes: number | undefined;
  /** Up to here the body was searched for a delimiter in vain. */
  #searched = 0;
  #skipped = 0;
  #ended = false;

  /** `boundary` as announced; undefined to take the first line that begins with `--`. */
  constructor(boundary?: string) {
    this.#announced = boundary?.replace(/^-+/, '');
  }

  /**
   * Calls `onPart` for each part that `chunk` completes; bodies may be views of `chunk`.
   * @throws WireError when there is no delimiter, or headers or a part are larger than a camera makes them.
   */
  push(chunk: Buffer, onPart: (part: Part) => void): void {
    if (this.#ended) return;
    this.#queue.push(chunk);
    while (!this.#ended && this.#step(onPart)) {
      // All work is in the condition.
    }
  }

  #step(onPart: (part: Part) => void): boolean {
    return this.#headers === undefined ? this.#head() : this.#body(onPart);
  }

  /** Reads up to and with the empty line behind a part's headers. */
  #head(): boolean {
    const queue = this.#queue;
    // Lines before the delimiter: the end of the last body, a preamble, empty lines.
    for (;;) {
      const lineEnd = queue.indexOf(LF);
      if (lineEnd < 0) {
        if (queue.length + this.#skipped > MAX_PREAMBLE_BYTES) this.#noDelimiter();
        return false;
      }
      if (this.#isDelimiter(queue.peek(Math.min(lineEnd, 256)))) break;
      if (this.#ended) return false;
      this.#skipped += lineEnd + 1;
      if (this.#skipped > MAX_PREAMBLE_BYTES) this.#noDelimiter();
      queue.skip(lineEnd + 1);
    }
    const end = this.#findEmptyLine();
    if (end < 0) {
      if (queue.length > MAX_HEADER_BYTES) {
        throw new WireError('multipart.headers', `part headers of more than ${MAX_HEADER_BYTES} bytes`, 0);
      }
      return false;
    }
    if (end > MAX_HEADER_BYTES) {
      throw new WireError('multipart.headers', `part headers of more than ${MAX_HEADER_BYTES} bytes`, 0);
    }
    this.#headers = parseHeaders(queue.take(end).toString('latin1'));
    this.#bodyBytes = lengthOf(this.#headers);
    this.#searched = 0;
    this.#skipped = 0;
    return true;
  }

  #isDelimiter(line: Buffer): boolean {
    const text = line.toString('latin1').trimEnd();
    if (this.#delimiter !== undefined) {
      const delimiter = this.#delimiter.toString('latin1');
      if (!text.startsWith(delimiter)) return false;
      // RFC 2046 §5.1.1: `--boundary--` ends it all.
      if (text === `${delimiter}--`) this.#ended = true;
      return !this.#ended;
    }
    const isFirst =
      this.#announced === undefined
        ? /^--\S/.test(text)
        : text.replace(/^-+/, '') === this.#announced || /^--\S/.test(text);
    if (!isFirst) return false;
    this.#delimiter = Buffer.from(text, 'latin1');
    return true;
  }

  /** Where the body begins: behind the first empty line. Some cameras end lines with LF alone. */
  #findEmptyLine(): number {
    const queue = this.#queue;
    let from = 0;
    for (;;) {
      const lineEnd = queue.indexOf(LF, from);
      if (lineEnd < 0 || lineEnd > MAX_HEADER_BYTES) return lineEnd < 0 ? -1 : lineEnd;
      const bytes = lineEnd - from;
      if (bytes === 0 || (bytes === 1 && queue.byteAt(from) === 0x0d)) return lineEnd + 1;
      from = lineEnd + 1;
    }
  }

  #body(onPart: (part: Part) => void): boolean {
    const queue = this.#queue;
    const headers = this.#headers;
    const delimiter = this.#delimiter;
    if (headers === undefined || delimiter === undefined) return false;
    const known = this.#bodyBytes;
    if (known !== undefined) {
      if (queue.length < known) return false;
      this.#headers = undefined;
      onPart({ headers, body: queue.take(known) });
      return true;
    }
    const found = queue.indexOf(delimiter, this.#searched);
    if (found < 0) {
      if (queue.length > MAX_PART_BYTES) this.#tooLarge(queue.length);
      this.#searched = Math.max(0, queue.length - delimiter.length + 1);
      return false;
    }
    if (found > MAX_PART_BYTES) this.#tooLarge(found);
    let body = queue.take(found);
    if (body.at(-1) === 0x0a) body = body.subarray(0, body.at(-2) === 0x0d ? -2 : -1);
    this.#headers = undefined;
    if (body.length > 0) onPart({ headers, body });
    return true;
  }

  #noDelimiter(): never {
    throw new WireError('multipart.boundary', `no part begins within ${MAX_PREAMBLE_BYTES} bytes`, 0);
  }

  #tooLarge(bytes: number): never {
    throw new WireError('multipart.large', `a part of ${bytes} bytes, the limit is ${MAX_PART_BYTES}`, 0);
  }
}

function parseHeaders(text: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of text.split('\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}

/** Undefined where the header is missing, 0 or not a number (cameras that stream write 0). */
function lengthOf(headers: ReadonlyMap<string, string>): number | undefined {
  const text = headers.get('content-length');
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const bytes = Number(text);
  if (bytes > MAX_PART_BYTES) {
    throw new WireError('multipart.large', `a part of ${bytes} bytes, the limit is ${MAX_PART_BYTES}`, 0);
  }
  return bytes === 0 ? undefined : bytes;
}

/** Splits JPEG files that follow one another with nothing or junk in between (`image/jpeg` that never ends). */
export class JpegSplitter {
  readonly #queue = new ByteQueue();
  /** Where the walk through the present file goes on; 0 before its SOI. */
  #at = 0;
  #inScan = false;

  /** Calls `onJpeg` for each file that `chunk` completes. @throws WireError when a file is longer than 8 MiB. */
  push(chunk: Buffer, onJpeg: (jpeg: Buffer) => void): void {
    const queue = this.#queue;
    queue.push(chunk);
    for (;;) {
      if (this.#at === 0) {
        const begin = queue.indexOf(SOI);
        queue.skip(begin < 0 ? Math.max(0, queue.length - 1) : begin);
        if (begin < 0) return;
        this.#at = 2;
        this.#inScan = false;
      }
      const end = this.#walk();
      if (end > 0) {
        onJpeg(queue.take(end));
        this.#at = 0;
        continue;
      }
      if (queue.length > MAX_PART_BYTES) {
        throw new WireError('jpeg.large', `a JPEG of more than ${MAX_PART_BYTES} bytes`, 0);
      }
      if (this.#at !== 0) return;
    }
  }

  /** ISO/IEC 10918-1 annex B: walks marker segments; inside scan data only real markers count. @returns the end, or 0. */
  #walk(): number {
    const bytes = this.#queue.peek(this.#queue.length);
    let at = this.#at;
    for (;;) {
      if (at >= bytes.length) break;
      if (this.#inScan) {
        at = bytes.indexOf(0xff, at);
        if (at < 0) at = bytes.length;
        if (at + 1 >= bytes.length) break;
        const code = bytes[at + 1] ?? 0;
        if (code === 0 || (code >= 0xd0 && code <= 0xd7)) {
          at += 2;
          continue;
        }
        if (code === 0xff) {
          at++;
          continue;
        }
        this.#inScan = false;
      }
      if (at + 4 > bytes.length && !(at + 2 <= bytes.length && bytes[at + 1] === 0xd9)) break;
      if (bytes[at] !== 0xff) {
        // Out of step: look for the next file.
        this.#queue.skip(2);
        this.#at = 0;
        return 0;
      }
      const code = bytes[at + 1] ?? 0;
      if (code === 0xff) {
        at++;
        continue;
      }
      if (code === 0xd9) return at + 2;
      if (code === 0xda) this.#inScan = true;
      at += 2 + bytes.readUInt16BE(at + 2);
    }
    this.#at = at;
    return 0;
  }
}
