import { WireError } from '../../core/errors.ts';
import type { AccessUnit, Codec, TrackFormat, VideoFormat } from '../../core/media.ts';
import { adtsHeaderMaker } from '../aac/adts.ts';
import { opusControlHeader } from './opus.ts';
import { crc32Mpeg, PAT_PID, SYNC_BYTE, TS_PACKET_BYTES, wrapTicks, writeTimestamp } from './packet.ts';

/** Makes an MPEG transport stream of one programme (ISO/IEC 13818-1). */

export interface TsWriterTrack {
  /** `AccessUnit.trackId`. */
  readonly id: number;
  readonly codec: Codec;
  /** Audio: for Opus' descriptor. */
  readonly channels: number;
}

/** What the writer can carry, in the order in which players like it. */
export const TS_VIDEO_CODECS = ['h264', 'h265'] as const satisfies readonly Codec[];
export const TS_AUDIO_CODECS = ['aac', 'mp3', 'opus'] as const satisfies readonly Codec[];

const PMT_PID = 0x1000;
const FIRST_PID = 0x100;
const PAYLOAD_BYTES = TS_PACKET_BYTES - 4;
/** All times are this much later than the stream's, so that the clock reference before the first is not negative. */
const ORIGIN_TICKS = 90_000;
/**
 * The clock reference runs ahead of decoding by so much: more than audio may come late (it rides with the pictures),
 * as little as a player's buffer may have to grow for it.
 */
const PCR_LEAD_TICKS = 9_000;
/** §2.7.2 asks for a clock reference every 100 ms; tables are customary every half second. */
const TABLES_EVERY_TICKS = 45_000;
const MAX_PES_LENGTH = 0xffff;

const NOTHING = Buffer.alloc(0);
const H264_AUD = Buffer.from('0000000109f0', 'hex');
const H265_AUD = Buffer.from('00000001460150', 'hex');

interface Output {
  readonly track: TsWriterTrack;
  readonly pid: number;
  readonly streamType: number;
  readonly streamId: number;
  readonly descriptors: Buffer;
  readonly video: boolean;
  continuity: number;
  /** AAC: the format that the header maker is for. */
  format: TrackFormat | null;
  adtsHeader: (payloadBytes: number) => Buffer;
}

/** A PES packet that lies in the scratch buffer. */
interface Pes {
  readonly output: Output;
  readonly from: number;
  readonly bytes: number;
  readonly pcrTicks: number;
  readonly hasPcr: boolean;
  readonly randomAccess: boolean;
}

/**
 * Writes bursts of access units as packets of one programme (ISO/IEC 13818-1). Counters and tables go on from call to
 * call, so all viewers get the same bytes.
 */
export class TsWriter {
  readonly #outputs: readonly Output[];
  readonly #pcrOutput: Output;
  readonly #patSection: Buffer;
  readonly #pmtSection: Buffer;
  #patContinuity = 0;
  #pmtContinuity = 0;
  #lastTablesTicks = Number.NEGATIVE_INFINITY;
  #scratch = Buffer.allocUnsafe(64 * 1024);
  #scratchUsed = 0;

  /** @throws WireError when there is no track or one that a transport stream can't carry. */
  constructor(tracks: readonly TsWriterTrack[]) {
    this.#outputs = tracks.map((track, index) => makeOutput(track, FIRST_PID + index));
    const pcr = this.#outputs.find((output) => output.video) ?? this.#outputs[0];
    if (pcr === undefined) throw new WireError('mpegts.empty', 'a transport stream needs a track', 0);
    this.#pcrOutput = pcr;
    this.#patSection = patSection();
    this.#pmtSection = pmtSection(pcr.pid, this.#outputs);
  }

  /**
   * One burst as packets in one new buffer: tables first when it has a key frame or they are due, parameter sets before
   * key frames, consecutive audio frames of a track in one PES packet. Null when no unit is of these tracks.
   */
  write(units: readonly AccessUnit[]): Buffer | null {
    this.#scratchUsed = 0;
    const all: Pes[] = [];
    let tables = false;
    for (let index = 0; index < units.length; ) {
      const unit = units[index];
      if (unit === undefined) break;
      const output = this.#outputs.find((one) => one.track.id === unit.trackId);
      if (output === undefined) {
        index++;
        continue;
      }
      const run = [unit];
      if (!output.video) {
        for (let next = units[index + 1]; next?.trackId === unit.trackId; next = units[index + run.length])
          run.push(next);
      }
      index += run.length;
      const pes = this.#pes(output, unit, run);
      if ((output.video && unit.key) || pes.pcrTicks - this.#lastTablesTicks >= TABLES_EVERY_TICKS) tables = true;
      all.push(pes);
    }
    const first = all[0];
    if (first === undefined) return null;
    if (tables) this.#lastTablesTicks = first.pcrTicks;

    let packets = tables ? 2 : 0;
    for (const pes of all) packets += packetCount(pes);
    const out = Buffer.allocUnsafe(packets * TS_PACKET_BYTES);
    let at = 0;
    if (tables) at = this.#writeTables(out, at);
    for (const pes of all) at = this.#writePes(out, at, pes);
    return out;
  }

  #writeTables(out: Buffer, at: number): number {
    const pat = writeSection(out, at, PAT_PID, this.#patContinuity, this.#patSection);
    this.#patContinuity = (this.#patContinuity + 1) & 15;
    const pmt = writeSection(out, pat, PMT_PID, this.#pmtContinuity, this.#pmtSection);
    this.#pmtContinuity = (this.#pmtContinuity + 1) & 15;
    return pmt;
  }

  #pes(output: Output, unit: AccessUnit, run: readonly AccessUnit[]): Pes {
    const from = this.#scratchUsed;
    const scale = 90_000 / unit.format.clockRateHz;
    const ptsTicks = Math.round(unit.pts * scale) + ORIGIN_TICKS;
    const dtsTicks = Math.round(unit.dts * scale) + ORIGIN_TICKS;
    const two = output.video && ptsTicks !== dtsTicks;
    const headerBytes = two ? 10 : 5;
    const header = this.#reserve(9 + headerBytes);
    for (const one of run) this.#payload(output, one);
    const bytes = this.#scratchUsed - from;
    const scratch = this.#scratch;
    scratch.writeUInt32BE(0x100 + output.streamId, header);
    // A video PES packet may leave its length open (0); a known one lets the receiver hand the picture on at once.
    scratch.writeUInt16BE(bytes - 6 > MAX_PES_LENGTH ? 0 : bytes - 6, header + 4);
    scratch[header + 6] = 0x84; // data_alignment_indicator: the payload begins with a unit
    scratch[header + 7] = two ? 0xc0 : 0x80;
    scratch[header + 8] = headerBytes;
    writeTimestamp(scratch, header + 9, two ? 3 : 2, wrapTicks(ptsTicks));
    if (two) writeTimestamp(scratch, header + 14, 1, wrapTicks(dtsTicks));
    return {
      output,
      from,
      bytes,
      pcrTicks: dtsTicks - PCR_LEAD_TICKS,
      hasPcr: output === this.#pcrOutput,
      randomAccess: unit.key,
    };
  }

  #payload(output: Output, unit: AccessUnit): void {
    const format = unit.format;
    if (format.kind === 'video') {
      this.#picture(unit, format);
      return;
    }
    if (format.codec === 'aac') {
      if (output.format !== format) {
        output.format = format;
        output.adtsHeader = adtsHeaderMaker(format.config);
      }
      this.#copy(output.adtsHeader(unit.data.length));
    } else if (format.codec === 'opus') this.#copy(opusControlHeader(unit.data.length));
    this.#copy(unit.data);
  }

  /** ISO/IEC 14496-10 annex B: delimiter, parameter sets before key frames, then the NAL units. */
  #picture(unit: AccessUnit, format: VideoFormat): void {
    this.#copy(format.codec === 'h265' ? H265_AUD : H264_AUD);
    if (unit.key) {
      const { vps, sps, pps } = format.parameterSets;
      for (const set of [...vps, ...sps, ...pps]) {
        const at = this.#reserve(4);
        this.#scratch.writeUInt32BE(1, at);
        this.#copy(set);
      }
    }
    let at = this.#copy(unit.data);
    const end = this.#scratchUsed;
    while (at + 4 <= end) {
      const bytes = this.#scratch.readUInt32BE(at);
      this.#scratch.writeUInt32BE(1, at);
      at += 4 + bytes;
    }
  }

  #reserve(bytes: number): number {
    const at = this.#scratchUsed;
    this.#scratchUsed += bytes;
    if (this.#scratchUsed > this.#scratch.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#scratchUsed, this.#scratch.length * 2));
      this.#scratch.copy(larger, 0, 0, at);
      this.#scratch = larger;
    }
    return at;
  }

  #copy(bytes: Buffer): number {
    const at = this.#reserve(bytes.length);
    bytes.copy(this.#scratch, at);
    return at;
  }

  #writePes(out: Buffer, start: number, pes: Pes): number {
    let at = start;
    let from = pes.from;
    const end = pes.from + pes.bytes;
    const { output } = pes;
    for (let first = true; from < end; first = false) {
      const adaptation = first ? adaptationBytes(pes) : 0;
      const room = PAYLOAD_BYTES - adaptation;
      const bytes = Math.min(room, end - from);
      const stuffed = adaptation + room - bytes;
      out[at] = SYNC_BYTE;
      out[at + 1] = (first ? 0x40 : 0) | (output.pid >> 8);
      out[at + 2] = output.pid & 0xff;
      out[at + 3] = (stuffed > 0 ? 0x30 : 0x10) | output.continuity;
      output.continuity = (output.continuity + 1) & 15;
      if (stuffed > 0) writeAdaptation(out, at + 4, stuffed, first ? pes : null);
      this.#scratch.copy(out, at + 4 + stuffed, from, from + bytes);
      from += bytes;
      at += TS_PACKET_BYTES;
    }
    return at;
  }
}

function adaptationBytes(pes: Pes): number {
  if (pes.hasPcr) return 8;
  return pes.randomAccess && pes.output.video ? 2 : 0;
}

function packetCount(pes: Pes): number {
  return Math.ceil((pes.bytes + adaptationBytes(pes)) / PAYLOAD_BYTES);
}

/** §2.4.3.4. `bytes` in all, the length byte included. */
function writeAdaptation(out: Buffer, at: number, bytes: number, pes: Pes | null): void {
  out[at] = bytes - 1;
  if (bytes === 1) return;
  out.fill(0xff, at + 2, at + bytes);
  let flags = 0;
  if (pes?.randomAccess === true && pes.output.video) flags |= 0x40;
  if (pes?.hasPcr === true) {
    flags |= 0x10;
    const base = wrapTicks(pes.pcrTicks);
    out.writeUInt32BE(Math.floor(base / 2), at + 2);
    out[at + 6] = ((base % 2) << 7) | 0x7e;
    out[at + 7] = 0;
  }
  out[at + 1] = flags;
}

/** Stream type of the PMT and stream_id of the PES packets; Opus is private data with a registration. */
const CARRIED: Readonly<Partial<Record<Codec, { streamType: number; streamId: number; video: boolean }>>> = {
  h264: { streamType: 0x1b, streamId: 0xe0, video: true },
  h265: { streamType: 0x24, streamId: 0xe0, video: true },
  aac: { streamType: 0x0f, streamId: 0xc0, video: false },
  mp3: { streamType: 0x03, streamId: 0xc0, video: false },
  opus: { streamType: 0x06, streamId: 0xbd, video: false },
};

function makeOutput(track: TsWriterTrack, pid: number): Output {
  const carried = CARRIED[track.codec];
  if (carried === undefined) {
    throw new WireError('mpegts.codec', `a transport stream does not carry ${track.codec}`, 0);
  }
  const opus = Buffer.from([5, 4, 0x4f, 0x70, 0x75, 0x73, 0x7f, 2, 0x80, track.channels]);
  const descriptors = track.codec === 'opus' ? opus : NOTHING;
  return { track, pid, ...carried, descriptors, continuity: 0, format: null, adtsHeader: () => NOTHING };
}

function patSection(): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt16BE(1, 0);
  body.writeUInt16BE(0xe000 | PMT_PID, 2);
  return section(0x00, body);
}

function pmtSection(pcrPid: number, outputs: readonly Output[]): Buffer {
  const parts: Buffer[] = [Buffer.from([0xe0 | (pcrPid >> 8), pcrPid & 0xff, 0xf0, 0])];
  for (const { pid, streamType, descriptors } of outputs) {
    const entry = Buffer.from([streamType, 0xe0 | (pid >> 8), pid & 0xff, 0xf0, descriptors.length]);
    parts.push(entry, descriptors);
  }
  return section(0x02, Buffer.concat(parts));
}

/** §2.4.4: id 1, version 0, current, section 0 of 0, CRC. */
function section(tableId: number, body: Buffer): Buffer {
  const out = Buffer.alloc(8 + body.length + 4);
  out[0] = tableId;
  out.writeUInt16BE(0xb000 | (body.length + 9), 1);
  out.writeUInt16BE(1, 3);
  out[5] = 0xc1;
  body.copy(out, 8);
  out.writeUInt32BE(crc32Mpeg(out.subarray(0, -4)), out.length - 4);
  return out;
}

function writeSection(out: Buffer, at: number, pid: number, continuity: number, bytes: Buffer): number {
  out.fill(0xff, at, at + TS_PACKET_BYTES);
  out[at] = SYNC_BYTE;
  out[at + 1] = 0x40 | (pid >> 8);
  out[at + 2] = pid & 0xff;
  out[at + 3] = 0x10 | continuity;
  out[at + 4] = 0;
  bytes.copy(out, at + 5);
  return at + TS_PACKET_BYTES;
}
