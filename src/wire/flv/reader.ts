import { WireError } from '../../core/errors.ts';
import { ByteQueue } from '../byte-queue.ts';

/** One FLV tag (Adobe FLV and F4V specification 10.1, annex E.4.1). */
export interface FlvTag {
  readonly kind: 'audio' | 'video' | 'script';
  /** Milliseconds, unwrapped: goes on where the 32 bits of the file start again. */
  readonly timestampMs: number;
  readonly data: Buffer;
}

const HEADER_BYTES = 9;
const TAG_HEADER_BYTES = 11;
const PREVIOUS_SIZE_BYTES = 4;
/** A 4K key frame stays well below; the format itself would allow 16 MiB for every tag. */
const MAX_TAG_BYTES = 8 * 1024 * 1024;
const MAX_HEADER_BYTES = 1024;
const WRAP_MS = 2 ** 32;

/** Whether the bytes begin as an FLV file does; needs three of them. */
export function looksLikeFlv(bytes: Buffer): boolean {
  return bytes.length >= 3 && bytes.toString('latin1', 0, 3) === 'FLV';
}

/** Takes an endless FLV stream apart, however its bytes arrive. */
export class FlvReader {
  readonly #queue = new ByteQueue();
  #offset = 0;
  #lastTimestampMs: number | undefined;
  /** What the file header promises; cameras set both flags whatever they send. Undefined before the header. */
  flags: { readonly audio: boolean; readonly video: boolean } | undefined;

  /**
   * Calls `onTag` for each tag that `chunk` completes; its bytes may be views of `chunk`.
   * @throws WireError when this isn't FLV, or a tag is longer than 8 MiB.
   */
  push(chunk: Buffer, onTag: (tag: FlvTag) => void): void {
    this.#queue.push(chunk);
    if (this.flags === undefined && !this.#readHeader()) return;
    while (this.#readTag(onTag)) {
      // All work is in the condition.
    }
  }

  #readHeader(): boolean {
    if (this.#queue.length < HEADER_BYTES) return false;
    const header = this.#queue.peek(HEADER_BYTES);
    if (!looksLikeFlv(header))
      throw new WireError('flv.signature', 'not an FLV stream: it does not begin with "FLV"', 0);
    const bytes = header.readUInt32BE(5);
    if (bytes < HEADER_BYTES || bytes > MAX_HEADER_BYTES) {
      throw new WireError('flv.header', `FLV header says it has ${bytes} bytes, expected 9`, 5);
    }
    if (this.#queue.length < bytes + PREVIOUS_SIZE_BYTES) return false;
    const bits = header[4] ?? 0;
    this.#drop(bytes + PREVIOUS_SIZE_BYTES);
    this.flags = { audio: (bits & 4) !== 0, video: (bits & 1) !== 0 };
    return true;
  }

  #readTag(onTag: (tag: FlvTag) => void): boolean {
    const queue = this.#queue;
    if (queue.length < TAG_HEADER_BYTES) return false;
    const header = queue.peek(TAG_HEADER_BYTES);
    const type = header[0] ?? 0;
    // E.4.1: 2 reserved bits, 1 filter bit (encrypted), 5 bits of type.
    const kind = KINDS[type & 0x1f];
    if (kind === undefined || (type & 0xc0) !== 0) {
      throw new WireError('flv.tag', `FLV tag has the unknown type ${type}: the stream is out of step`, this.#offset);
    }
    if ((type & 0x20) !== 0) throw new WireError('flv.encrypted', 'FLV tag is encrypted', this.#offset);
    const bytes = header.readUIntBE(1, 3);
    if (bytes > MAX_TAG_BYTES) {
      throw new WireError('flv.large', `FLV tag of ${bytes} bytes, the limit is ${MAX_TAG_BYTES}`, this.#offset);
    }
    if (queue.length < TAG_HEADER_BYTES + bytes + PREVIOUS_SIZE_BYTES) return false;
    const timestampMs = this.#unwrap(header.readUIntBE(4, 3) + (header[7] ?? 0) * 2 ** 24);
    this.#drop(TAG_HEADER_BYTES);
    const data = queue.take(bytes);
    this.#offset += bytes;
    // The size of the previous tag is not checked: several cameras write 0 or leave out the 11 bytes of the header.
    this.#drop(PREVIOUS_SIZE_BYTES);
    onTag({ kind, timestampMs, data });
    return true;
  }

  #unwrap(raw: number): number {
    const last = this.#lastTimestampMs;
    if (last === undefined) {
      this.#lastTimestampMs = raw;
      return raw;
    }
    const step = (((raw - last) % WRAP_MS) + WRAP_MS) % WRAP_MS;
    const unwrapped = last + (step >= WRAP_MS / 2 ? step - WRAP_MS : step);
    this.#lastTimestampMs = unwrapped;
    return unwrapped;
  }

  #drop(bytes: number): void {
    this.#queue.skip(bytes);
    this.#offset += bytes;
  }
}

const KINDS: Readonly<Record<number, FlvTag['kind']>> = { 8: 'audio', 9: 'video', 18: 'script' };
