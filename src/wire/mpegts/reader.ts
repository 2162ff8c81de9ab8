import { WireError } from '../../core/errors.ts';
import { ByteQueue } from '../byte-queue.ts';
import {
  NULL_PID,
  PAT_PID,
  readTimestamp,
  SYNC_BYTE,
  TS_PACKET_BYTES,
  TS_WRAP_TICKS,
  type TsCounters,
} from './packet.ts';
import { parsePat, parsePmt, type TsStreamInfo } from './tables.ts';

/** One PES packet (ISO/IEC 13818-1 §2.4.3.6): usually one picture, or one or several audio frames. */
export interface TsUnit {
  readonly stream: TsStreamInfo;
  /** 90 kHz, unwrapped past 33 bits and on one line for all streams of the programme; null when it has none. */
  readonly pts90k: number | null;
  readonly dts90k: number | null;
  /** The adaptation field said that decoding can start here. */
  readonly randomAccess: boolean;
  /** Valid during the call only: copy what you keep. */
  readonly data: Buffer;
}

export interface TsHandler {
  /** The streams of the programme, when first seen and whenever they change. */
  programme(streams: readonly TsStreamInfo[]): void;
  unit(unit: TsUnit): void;
}

/** No picture is larger; a stream that sends more without a new beginning is broken. */
const MAX_UNIT_BYTES = 8 * 1024 * 1024;
const FIRST_UNIT_BYTES = 16 * 1024;
const MAX_SECTION_BYTES = 4096;
const MAX_STREAMS = 32;
/** So much without a single sync byte in place is not a transport stream. */
const MAX_LOST_BYTES = 1024 * 1024;

interface Elementary {
  readonly info: TsStreamInfo;
  continuity: number;
  buffer: Buffer;
  filled: number;
  /** Bytes of the PES packet with its header; 0: until the next one begins; -1: not known yet. */
  expected: number;
  open: boolean;
  randomAccess: boolean;
}

interface Section {
  continuity: number;
  data: Buffer;
}

/** Whether at least `packets` packets follow one another from the first byte on. */
export function looksLikeMpegTs(bytes: Buffer, packets = 3): boolean {
  if (bytes.length < TS_PACKET_BYTES * (packets - 1) + 1) return false;
  for (let index = 0; index < packets; index++) if (bytes[index * TS_PACKET_BYTES] !== SYNC_BYTE) return false;
  return true;
}

/** Takes an endless MPEG transport stream apart: the first programme that its PAT names. */
export class TsReader {
  readonly counters: TsCounters = {
    packets: 0,
    continuityErrors: 0,
    lostSyncBytes: 0,
    crcErrors: 0,
    scrambled: 0,
    damagedUnits: 0,
  };
  readonly #handler: TsHandler;
  readonly #queue = new ByteQueue();
  readonly #sections = new Map<number, Section>();
  #elementary = new Map<number, Elementary>();
  #pmtPid = -1;
  #pmtText = '';
  #lastTicks: number | undefined;
  #inSync = false;
  #lostInARow = 0;

  constructor(handler: TsHandler) {
    this.#handler = handler;
  }

  /** @throws WireError when there is no transport stream to be found in a mebibyte. */
  push(chunk: Buffer): void {
    const queue = this.#queue;
    queue.push(chunk);
    for (;;) {
      if (!this.#inSync && !this.#findSync()) return;
      if (queue.length < TS_PACKET_BYTES) return;
      if (queue.byteAt(0) !== SYNC_BYTE) {
        this.#inSync = false;
        continue;
      }
      this.#packet(queue.take(TS_PACKET_BYTES));
    }
  }

  /** The stream has ended (or an HLS segment has): hands out what only waits for the beginning of the next. */
  end(): void {
    for (const elementary of this.#elementary.values()) {
      if (elementary.expected <= 0) this.#finish(elementary);
      else this.#abandon(elementary);
      elementary.continuity = -1;
    }
    for (const section of this.#sections.values()) section.continuity = -1;
    this.#queue.clear();
  }

  /** A packet begins where its sync byte is followed by another one a packet later (§2.4.3.2 note, annex G). */
  #findSync(): boolean {
    const queue = this.#queue;
    const window = queue.peek(queue.length);
    let at = 0;
    while (at + TS_PACKET_BYTES < window.length) {
      const found = window.indexOf(SYNC_BYTE, at);
      if (found < 0) {
        at = window.length;
        break;
      }
      at = found;
      if (at + TS_PACKET_BYTES >= window.length) break;
      if (window[at + TS_PACKET_BYTES] === SYNC_BYTE) {
        this.#lose(at);
        this.#inSync = true;
        this.#lostInARow = 0;
        return true;
      }
      at++;
    }
    this.#lose(at);
    return false;
  }

  #lose(bytes: number): void {
    this.#queue.skip(bytes);
    this.counters.lostSyncBytes += bytes;
    this.#lostInARow += bytes;
    if (this.#lostInARow > MAX_LOST_BYTES) {
      throw new WireError('mpegts.sync', `no MPEG-TS packets within ${this.#lostInARow} bytes`, 0);
    }
  }

  #packet(packet: Buffer): void {
    this.counters.packets++;
    const b1 = packet[1] ?? 0;
    const b3 = packet[3] ?? 0;
    const pid = ((b1 & 0x1f) << 8) | (packet[2] ?? 0);
    if (pid === NULL_PID || (b1 & 0x80) !== 0) return; // stuffing, or marked as damaged by the sender
    let at = 4;
    let randomAccess = false;
    let discontinuity = false;
    if ((b3 & 0x20) !== 0) {
      const bytes = packet[4] ?? 0;
      if (bytes > 183) return;
      if (bytes > 0) {
        const flags = packet[5] ?? 0;
        discontinuity = (flags & 0x80) !== 0;
        randomAccess = (flags & 0x40) !== 0;
      }
      at = 5 + bytes;
    }
    if ((b3 & 0x10) === 0 || at >= TS_PACKET_BYTES) return;
    if ((b3 & 0xc0) !== 0) {
      this.counters.scrambled++;
      return;
    }
    const start = (b1 & 0x40) !== 0;
    const continuity = b3 & 0x0f;
    const elementary = this.#elementary.get(pid);
    if (elementary !== undefined) {
      this.#media(elementary, packet, at, start, continuity, randomAccess, discontinuity);
    } else if (pid === PAT_PID || pid === this.#pmtPid) {
      this.#table(pid, packet.subarray(at), start, continuity);
    }
  }

  #media(
    elementary: Elementary,
    packet: Buffer,
    at: number,
    start: boolean,
    continuity: number,
    randomAccess: boolean,
    discontinuity: boolean,
  ): void {
    const last = elementary.continuity;
    elementary.continuity = continuity;
    if (last >= 0 && !discontinuity && continuity !== ((last + 1) & 15)) {
      // §2.4.3.3: a packet may be sent twice.
      if (continuity === last && !start) return;
      this.counters.continuityErrors++;
      this.#abandon(elementary);
    }
    if (start) {
      if (elementary.open) {
        if (elementary.expected <= 0) this.#finish(elementary);
        else this.#abandon(elementary);
      }
      elementary.open = true;
      elementary.filled = 0;
      elementary.expected = -1;
      elementary.randomAccess = randomAccess;
    }
    if (!elementary.open) return;
    const bytes = TS_PACKET_BYTES - at;
    if (elementary.filled + bytes > elementary.buffer.length && !this.#grow(elementary, bytes)) return;
    packet.copy(elementary.buffer, elementary.filled, at);
    elementary.filled += bytes;
    if (elementary.expected < 0 && elementary.filled >= 6) {
      const length = elementary.buffer.readUInt16BE(4);
      elementary.expected = length === 0 ? 0 : length + 6;
    }
    if (elementary.expected > 0 && elementary.filled >= elementary.expected) {
      elementary.filled = elementary.expected;
      this.#finish(elementary);
    }
  }

  #grow(elementary: Elementary, bytes: number): boolean {
    const wanted = elementary.filled + bytes;
    if (wanted > MAX_UNIT_BYTES) {
      this.#abandon(elementary);
      return false;
    }
    const larger = Buffer.allocUnsafe(Math.min(MAX_UNIT_BYTES, Math.max(wanted, elementary.buffer.length * 2)));
    elementary.buffer.copy(larger, 0, 0, elementary.filled);
    elementary.buffer = larger;
    return true;
  }

  #abandon(elementary: Elementary): void {
    if (elementary.open) this.counters.damagedUnits++;
    elementary.open = false;
    elementary.filled = 0;
  }

  #finish(elementary: Elementary): void {
    if (!elementary.open) return;
    elementary.open = false;
    const pes = elementary.buffer.subarray(0, elementary.filled);
    elementary.filled = 0;
    // packet_start_code_prefix, stream_id, length, then '10' and flags: none of our streams uses the short forms.
    if (pes.length < 9 || pes.readUIntBE(0, 3) !== 1 || ((pes[6] ?? 0) & 0xc0) !== 0x80) {
      this.counters.damagedUnits++;
      return;
    }
    const flags = (pes[7] ?? 0) >> 6;
    const headerBytes = pes[8] ?? 0;
    const bodyAt = 9 + headerBytes;
    if (bodyAt > pes.length) {
      this.counters.damagedUnits++;
      return;
    }
    const rawPts = (flags & 2) !== 0 && headerBytes >= 5 ? readTimestamp(pes, 9) : null;
    const rawDts = flags === 3 && headerBytes >= 10 ? readTimestamp(pes, 14) : null;
    const dts90k = rawDts === null ? null : this.#unwrap(rawDts);
    const pts90k = rawPts === null ? null : this.#unwrap(rawPts);
    this.#handler.unit({
      stream: elementary.info,
      pts90k,
      dts90k,
      randomAccess: elementary.randomAccess,
      data: pes.subarray(bodyAt),
    });
  }

  /** One line for the whole programme: audio that is a little behind a video that wrapped stays a little behind. */
  #unwrap(raw: number): number {
    const last = this.#lastTicks;
    if (last === undefined) {
      this.#lastTicks = raw;
      return raw;
    }
    const step = (((raw - last) % TS_WRAP_TICKS) + TS_WRAP_TICKS) % TS_WRAP_TICKS;
    const unwrapped = last + (step >= TS_WRAP_TICKS / 2 ? step - TS_WRAP_TICKS : step);
    this.#lastTicks = unwrapped;
    return unwrapped;
  }

  #table(pid: number, payload: Buffer, start: boolean, continuity: number): void {
    let section = this.#sections.get(pid);
    if (section === undefined) {
      section = { continuity: -1, data: Buffer.alloc(0) };
      this.#sections.set(pid, section);
    }
    const last = section.continuity;
    section.continuity = continuity;
    if (start) {
      // §2.4.4.2: the pointer field says where the first new section begins; sections that end before it are rare here.
      section.data = payload.subarray(1 + (payload[0] ?? 0));
    } else {
      if (section.data.length === 0 || (last >= 0 && continuity !== ((last + 1) & 15))) return;
      section.data = Buffer.concat([section.data, payload]);
    }
    const data = section.data;
    if (data.length < 3) return;
    const bytes = 3 + (data.readUInt16BE(1) & 0x0fff);
    if (bytes > MAX_SECTION_BYTES) {
      section.data = Buffer.alloc(0);
      return;
    }
    if (data.length < bytes) return;
    section.data = Buffer.alloc(0);
    try {
      if (pid === PAT_PID) this.#pat(data.subarray(0, bytes));
      else this.#pmt(data.subarray(0, bytes));
    } catch (error) {
      // Tables come again every fraction of a second: a damaged one is counted and left.
      if (!(error instanceof WireError)) throw error;
      this.counters.crcErrors++;
    }
  }

  #pat(section: Buffer): void {
    const pids = [...parsePat(section).values()];
    const first = pids[0];
    if (first === undefined || pids.includes(this.#pmtPid)) return;
    this.#pmtPid = first;
    this.#pmtText = '';
  }

  #pmt(section: Buffer): void {
    const text = section.toString('latin1');
    if (text === this.#pmtText) return;
    const { streams } = parsePmt(section);
    this.#pmtText = text;
    const next = new Map<number, Elementary>();
    for (const info of streams.slice(0, MAX_STREAMS)) {
      if (info.codec === null || info.pid === PAT_PID || info.pid === this.#pmtPid) continue;
      const old = this.#elementary.get(info.pid);
      next.set(
        info.pid,
        old !== undefined && old.info.codec === info.codec && old.info.latm === info.latm
          ? old
          : {
              info,
              continuity: -1,
              buffer: Buffer.allocUnsafe(FIRST_UNIT_BYTES),
              filled: 0,
              expected: 0,
              open: false,
              randomAccess: false,
            },
      );
    }
    this.#elementary = next;
    this.#handler.programme(streams);
  }
}
