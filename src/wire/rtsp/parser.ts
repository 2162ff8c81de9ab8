import { WireError } from '../../core/errors.ts';
import { contentLength, isStartLine, parseHead, type RtspMessage } from './message.ts';

/** What a byte stream of RTSP is made of. Calls are made during `push`, in order. */
export interface RtspHandler {
  /** A request or response with its body (copied: it may be kept). */
  onMessage(message: RtspMessage): void;
  /**
   * An interleaved frame (RFC 2326 §10.12): `data[start..end)` is one RTP or RTCP packet. The bytes are valid only
   * during the call: the buffer is the one that was pushed, or the parser's own.
   */
  onInterleaved(channel: number, data: Buffer, start: number, end: number): void;
  /** So many bytes that belong to nothing were skipped. */
  onGarbage?(bytes: number): void;
}

export interface RtspParserLimits {
  /** Start line and header fields. Default 16 KiB. */
  readonly maxHeadBytes?: number;
  /** Default 256 KiB. */
  readonly maxBodyBytes?: number;
  /** Garbage in a row before the parser gives up; 0: none is tolerated. Default 256 KiB. */
  readonly maxGarbageBytes?: number;
}

const DOLLAR = 0x24;
const SLASH = 0x2f;
const SPACE = 0x20;
const LF = 0x0a;
const CR = 0x0d;
const FRAME_HEADER_BYTES = 4;
const MAX_METHOD_BYTES = 24;
const MAX_START_LINE_BYTES = 4096;
/** While a text message is incomplete the rest is taken in steps of this, so that little is copied behind its end. */
const TEXT_STEP_BYTES = 2048;
const KEEP_CARRY_BYTES = 128 * 1024;
/** An RTCP packet has at least a header and an SSRC. */
const MIN_PACKET_BYTES = 8;
/** No camera uses more; a larger number after garbage is not the beginning of a frame. */
const MAX_RESYNC_CHANNEL = 31;

const KNOWN_METHODS = new Set([
  'OPTIONS',
  'DESCRIBE',
  'ANNOUNCE',
  'SETUP',
  'PLAY',
  'PAUSE',
  'TEARDOWN',
  'RECORD',
  'GET_PARAMETER',
  'SET_PARAMETER',
  'REDIRECT',
]);

/** `#message` answers: the bytes are no message, or more of them are needed. */
const NOT_A_MESSAGE = -1;
const INCOMPLETE = -2;

/**
 * Takes an RTSP byte stream apart as it comes. Frames that are whole in a pushed chunk are handed on without a copy.
 * Bytes that are neither a frame nor a message are skipped until something plausible begins: cameras leave such bytes
 * between frames (as FFmpeg and VLC do, we go on). Memory is bounded by the limits.
 *
 * After `push` has thrown, or `stop` was called, the parser must not be used any more.
 */
export class RtspParser {
  readonly #handler: RtspHandler;
  readonly #maxHeadBytes: number;
  readonly #maxBodyBytes: number;
  readonly #maxGarbageBytes: number;
  /** The beginning of an element whose end has not come yet. */
  #carry: Buffer = Buffer.alloc(0);
  #carried = 0;
  /** Size of the incomplete element as far as it is known, 0 for text whose end is open. */
  #needed = 0;
  /** How far (from the element's start) the end of the header has been looked for. */
  #scanned = 0;
  /** The last bytes were garbage: what looks like a beginning is looked at more closely. */
  #resync = false;
  #garbageRun = 0;
  #garbageUnreported = 0;
  #stopped = false;
  /** Bytes consumed so far, for the offsets in errors. */
  #position = 0;

  constructor(handler: RtspHandler, limits: RtspParserLimits = {}) {
    this.#handler = handler;
    this.#maxHeadBytes = limits.maxHeadBytes ?? 16 * 1024;
    this.#maxBodyBytes = limits.maxBodyBytes ?? 256 * 1024;
    this.#maxGarbageBytes = limits.maxGarbageBytes ?? 256 * 1024;
  }

  /** Discards everything from now on; may be called from within a handler. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * @throws WireError `rtsp.head`, `rtsp.body` (larger than the limit), `rtsp.length` (no number) or `rtsp.garbage`
   * (too much of it).
   */
  push(chunk: Buffer): void {
    let at = 0;
    while (this.#carried > 0 && at < chunk.length && !this.#stopped) {
      const step = this.#needed > this.#carried ? this.#needed - this.#carried : TEXT_STEP_BYTES;
      const take = Math.min(step, chunk.length - at);
      this.#hold(chunk, at, at + take);
      at += take;
      if (this.#carried < this.#needed) return;
      const used = this.#consume(this.#carry, 0, this.#carried);
      this.#carry.copyWithin(0, used, this.#carried);
      this.#carried -= used;
    }
    if (this.#stopped) return;
    if (this.#carried === 0 && at < chunk.length) {
      if (this.#carry.length > KEEP_CARRY_BYTES) this.#carry = Buffer.alloc(0);
      const used = this.#consume(chunk, at, chunk.length);
      if (used < chunk.length && !this.#stopped) this.#hold(chunk, used, chunk.length);
    }
    this.#reportGarbage();
  }

  /** Handles all complete elements of `data[from..to)`; returns where the first incomplete one begins. */
  #consume(data: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && !this.#stopped) {
      const byte = data[at];
      let end: number;
      if (byte === DOLLAR) {
        end = this.#frame(data, at, to);
      } else if (byte === CR || byte === LF) {
        // Blank lines before a message are allowed (RFC 2326 §4.1 by way of HTTP).
        end = at + 1;
      } else {
        end = this.#message(data, at, to);
      }
      if (end === INCOMPLETE) return at;
      if (end === NOT_A_MESSAGE) end = this.#skipGarbage(data, at, to);
      this.#position += end - at;
      at = end;
      this.#scanned = 0;
      this.#needed = 0;
    }
    return at;
  }

  #frame(data: Buffer, at: number, to: number): number {
    const header = this.#resync ? FRAME_HEADER_BYTES + 1 : FRAME_HEADER_BYTES;
    if (to - at < header) {
      this.#needed = header;
      return INCOMPLETE;
    }
    const channel = data.readUInt8(at + 1);
    const length = data.readUInt16BE(at + 2);
    if (this.#resync) {
      // A `$` in the middle of garbage: believed only when an RTP or RTCP packet (version 2) follows.
      const version = (data[at + FRAME_HEADER_BYTES] ?? 0) >> 6;
      if (channel > MAX_RESYNC_CHANNEL || length < MIN_PACKET_BYTES || version !== 2) return NOT_A_MESSAGE;
    }
    const end = at + FRAME_HEADER_BYTES + length;
    if (end > to) {
      this.#needed = FRAME_HEADER_BYTES + length;
      return INCOMPLETE;
    }
    this.#inStep();
    this.#handler.onInterleaved(channel, data, at + FRAME_HEADER_BYTES, end);
    return end;
  }

  #message(data: Buffer, at: number, to: number): number {
    if (this.#scanned === 0) {
      const looks = this.#startLine(data, at, to);
      if (looks !== 0) return looks;
    }
    const head = this.#headEnd(data, at, to);
    if (head === INCOMPLETE) return INCOMPLETE;
    const message = parseHead(data.toString('utf8', at, head));
    const bodyBytes = contentLength(message.headers);
    if (bodyBytes > this.#maxBodyBytes) {
      throw new WireError(
        'rtsp.body',
        `RTSP message announces a body of ${bodyBytes} bytes, at most ${this.#maxBodyBytes} are taken`,
        this.#position,
      );
    }
    const end = head + bodyBytes;
    if (end > to) {
      this.#needed = end - at;
      return INCOMPLETE;
    }
    this.#inStep();
    this.#handler.onMessage(bodyBytes === 0 ? message : { ...message, body: Buffer.from(data.subarray(head, end)) });
    return end;
  }

  /** 0 when a whole first line is there and is one of RTSP. */
  #startLine(data: Buffer, at: number, to: number): number {
    let i = at;
    const tokenLimit = Math.min(to, at + MAX_METHOD_BYTES + 1);
    while (i < tokenLimit && isTokenByte(data[i] ?? 0)) i++;
    if (i - at > MAX_METHOD_BYTES) return NOT_A_MESSAGE;
    if (i === to) return INCOMPLETE;
    const token = data.toString('latin1', at, i);
    const after = data[i];
    if (token === 'RTSP' ? after !== SLASH : after !== SPACE || token.length < 3) return NOT_A_MESSAGE;
    if (this.#resync && token !== 'RTSP' && !KNOWN_METHODS.has(token)) return NOT_A_MESSAGE;
    const lineLimit = Math.min(to, at + MAX_START_LINE_BYTES);
    for (; i < lineLimit; i++) {
      const byte = data[i] ?? 0;
      if (byte === LF) break;
      if (byte < SPACE && byte !== CR && byte !== 0x09) return NOT_A_MESSAGE;
    }
    if (i === to && i < at + MAX_START_LINE_BYTES) return INCOMPLETE;
    if (data[i] !== LF || !isStartLine(data.toString('utf8', at, i).trimEnd())) return NOT_A_MESSAGE;
    this.#scanned = i + 1 - at;
    return 0;
  }

  /** Where the body begins: behind the first empty line. */
  #headEnd(data: Buffer, at: number, to: number): number {
    let line = at + this.#scanned;
    while (line < to) {
      const lf = data.indexOf(LF, line);
      if (lf < 0 || lf >= to) break;
      if (lf === line || (lf === line + 1 && data[line] === CR)) return lf + 1;
      line = lf + 1;
    }
    this.#scanned = line - at;
    if (to - at > this.#maxHeadBytes) {
      throw new WireError('rtsp.head', `RTSP header is longer than ${this.#maxHeadBytes} bytes`, this.#position);
    }
    this.#needed = 0;
    return INCOMPLETE;
  }

  /** Skips at least one byte, up to the next that could begin something. */
  #skipGarbage(data: Buffer, at: number, to: number): number {
    let end = at + 1;
    while (end < to && data[end] !== DOLLAR && !isTokenByte(data[end] ?? 0)) end++;
    this.#resync = true;
    this.#garbageRun += end - at;
    this.#garbageUnreported += end - at;
    if (this.#garbageRun > this.#maxGarbageBytes) {
      const seen = data.toString('latin1', at, Math.min(to, at + 40));
      throw new WireError(
        'rtsp.garbage',
        this.#maxGarbageBytes === 0
          ? `not RTSP: ${JSON.stringify(seen)}`
          : `${this.#garbageRun} bytes in a row are neither RTSP nor interleaved frames`,
        this.#position,
      );
    }
    return end;
  }

  #inStep(): void {
    this.#resync = false;
    this.#garbageRun = 0;
    if (this.#garbageUnreported > 0) this.#reportGarbage();
  }

  #reportGarbage(): void {
    const bytes = this.#garbageUnreported;
    if (bytes === 0) return;
    this.#garbageUnreported = 0;
    this.#handler.onGarbage?.(bytes);
  }

  #hold(data: Buffer, from: number, to: number): void {
    const size = this.#carried + to - from;
    if (size > this.#carry.length) {
      const grown = Buffer.allocUnsafe(Math.max(4096, 2 ** Math.ceil(Math.log2(Math.max(size, this.#needed)))));
      this.#carry.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    data.copy(this.#carry, this.#carried, from, to);
    this.#carried = size;
  }
}

function isTokenByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f;
}

/**
 * An interleaved frame's header: `$`, channel, length of the packet that follows.
 * @throws WireError when the length does not fit 16 bits.
 */
export function writeFrameHeader(target: Buffer, offset: number, channel: number, lengthBytes: number): void {
  if (lengthBytes > 0xffff) {
    throw new WireError('rtsp.frame', `an interleaved frame holds 65535 bytes at most, not ${lengthBytes}`, 0);
  }
  target[offset] = DOLLAR;
  target[offset + 1] = channel;
  target.writeUInt16BE(lengthBytes, offset + 2);
}
