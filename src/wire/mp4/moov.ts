import { WireError } from '../../core/errors.ts';
import type { AudioFormat, Codec, TrackFormat, VideoFormat } from '../../core/media.ts';
import { makeAacFormat } from '../aac/config.ts';
import { lengthSize, makeH264Format, parseAvcC } from '../h264/format.ts';
import { makeH265Format, parseHvcC } from '../h265/format.ts';
import { buildOpusHead } from '../opus/opus.ts';
import { type BoxAt, boxesIn, Cursor, findBox } from './walk.ts';

/** A track that a file's `moov` announces and that we can carry. */
export interface MovieTrack {
  /** `track_ID`. */
  readonly id: number;
  readonly kind: 'video' | 'audio';
  readonly codec: Codec;
  readonly timescaleHz: number;
  /** Null where the parameters come only in band (`avc3`, `hev1` with an empty record). */
  readonly format: TrackFormat | null;
  /** H.264 and H.265: bytes of the length in front of each NAL unit; and the parameter sets of the record. */
  readonly nal: { readonly lengthBytes: 1 | 2 | 3 | 4; readonly sets: readonly Buffer[] } | undefined;
  /** Media time at presentation time 0 (first edit). */
  readonly editTicks: number;
  /** `trex`. */
  readonly defaults: SampleDefaults;
}

export interface SampleDefaults {
  readonly durationTicks: number;
  readonly bytes: number;
  readonly flags: number;
}

/** Tracks beyond this are not looked at. */
const MAX_TRACKS = 32;
const NO_DEFAULTS: SampleDefaults = { durationTicks: 0, bytes: 0, flags: 0 };

/**
 * Reads a `moov` box. Tracks of other kinds or codecs are left out.
 * @throws WireError when it is damaged
 */
export function parseMoov(data: Buffer, moov: BoxAt): MovieTrack[] {
  const defaults = new Map<number, SampleDefaults>();
  const mvex = findBox(data, moov, 'mvex');
  if (mvex !== undefined) {
    for (const box of boxesIn(data, mvex.start, mvex.end)) {
      if (box.type !== 'trex') continue;
      const cursor = new Cursor(data, box);
      cursor.skip(4);
      const id = cursor.u32();
      cursor.skip(4);
      defaults.set(id, { durationTicks: cursor.u32(), bytes: cursor.u32(), flags: cursor.u32() });
    }
  }
  const tracks: MovieTrack[] = [];
  for (const box of boxesIn(data, moov.start, moov.end)) {
    if (box.type !== 'trak' || tracks.length >= MAX_TRACKS) continue;
    const track = parseTrak(data, box, defaults);
    if (track !== null) tracks.push(track);
  }
  return tracks;
}

function parseTrak(data: Buffer, trak: BoxAt, defaults: ReadonlyMap<number, SampleDefaults>): MovieTrack | null {
  const tkhd = findBox(data, trak, 'tkhd');
  const mdhd = findBox(data, trak, 'mdia', 'mdhd');
  const stsd = findBox(data, trak, 'mdia', 'minf', 'stbl', 'stsd');
  if (tkhd === undefined || mdhd === undefined || stsd === undefined) return null;
  const id = afterTimes(data, tkhd).u32();
  const timescaleHz = afterTimes(data, mdhd).u32();
  if (timescaleHz === 0) throw new WireError('mp4.timescale', `track ${id} has a time scale of 0`, mdhd.start);
  const entry = [...boxesIn(data, stsd.start + 8, stsd.end)][0];
  const described = entry === undefined ? null : parseEntry(data, entry);
  if (described === null) return null;
  return { id, timescaleHz, editTicks: firstEdit(data, trak), defaults: defaults.get(id) ?? NO_DEFAULTS, ...described };
}

/** Behind version, flags, and the two times of a `tkhd` or `mdhd`. */
function afterTimes(data: Buffer, box: BoxAt): Cursor {
  const cursor = new Cursor(data, box);
  const version = cursor.u8();
  cursor.skip(3 + (version === 1 ? 16 : 8));
  return cursor;
}

/** Media time of the first edit that is not empty; what stands behind it doesn't matter to a live stream. */
function firstEdit(data: Buffer, trak: BoxAt): number {
  const elst = findBox(data, trak, 'edts', 'elst');
  if (elst === undefined) return 0;
  const cursor = new Cursor(data, elst);
  const version = cursor.u8();
  cursor.skip(3);
  for (let count = Math.min(cursor.u32(), 8); count > 0; count--) {
    cursor.skip(version === 1 ? 8 : 4);
    const high = cursor.u32();
    const low = version === 1 ? cursor.u32() : 0;
    cursor.skip(4);
    if (high === 0xffff_ffff) continue; // -1: an empty edit
    const ticks = version === 1 ? high * 2 ** 32 + low : high;
    if (!Number.isSafeInteger(ticks)) throw new WireError('mp4.elst', 'an edit begins beyond 2^53', elst.start);
    return ticks;
  }
  return 0;
}

type Described = Pick<MovieTrack, 'kind' | 'codec' | 'format' | 'nal'>;

function parseEntry(data: Buffer, entry: BoxAt): Described | null {
  switch (entry.type) {
    case 'avc1':
    case 'avc3':
      return avc(data, entry);
    case 'hvc1':
    case 'hev1':
      return hevc(data, entry);
    case 'av01':
      return videoWith(data, entry, 'av1', 'av1C', 0);
    case 'vp09':
      return videoWith(data, entry, 'vp9', 'vpcC', 4);
    case 'mp4a':
      return mp4a(data, entry);
    case 'Opus':
      return opus(data, entry);
    case 'fLaC':
      return flac(data, entry);
    default:
      return null;
  }
}

const VISUAL_BYTES = 78;
const AUDIO_BYTES = 28;

function configBox(data: Buffer, entry: BoxAt, fixedBytes: number, type: string): BoxAt | undefined {
  const start = entry.start + fixedBytes;
  if (start > entry.end) throw new WireError('mp4.entry', `sample entry "${entry.type}" is cut off`, entry.start);
  return findBox(data, { type: entry.type, start, end: entry.end }, type);
}

function contentOf(data: Buffer, box: BoxAt, skipBytes = 0): Buffer {
  return Buffer.from(data.subarray(Math.min(box.start + skipBytes, box.end), box.end));
}

function avc(data: Buffer, entry: BoxAt): Described | null {
  const box = configBox(data, entry, VISUAL_BYTES, 'avcC');
  if (box === undefined) return null;
  const record = contentOf(data, box);
  const { lengthBytes, sps, pps } = parseAvcC(record);
  const format = sps.length > 0 && pps.length > 0 ? makeH264Format({ sps, pps }) : null;
  return { kind: 'video', codec: 'h264', format, nal: { lengthBytes, sets: [...sps, ...pps] } };
}

function hevc(data: Buffer, entry: BoxAt): Described | null {
  const box = configBox(data, entry, VISUAL_BYTES, 'hvcC');
  if (box === undefined) return null;
  const record = contentOf(data, box);
  const config = parseHvcC(record);
  const complete = config.vps.length > 0 && config.sps.length > 0 && config.pps.length > 0;
  const format = complete ? makeH265Format(config) : null;
  const lengthBytes = lengthSize(record[21] ?? 3);
  return {
    kind: 'video',
    codec: 'h265',
    format,
    nal: { lengthBytes, sets: [...config.vps, ...config.sps, ...config.pps] },
  };
}

function videoWith(data: Buffer, entry: BoxAt, codec: 'av1' | 'vp9', type: string, skip: number): Described | null {
  const box = configBox(data, entry, VISUAL_BYTES, type);
  if (box === undefined) return null;
  const config = contentOf(data, box, skip);
  const cursor = new Cursor(data, entry);
  cursor.skip(24);
  const format: VideoFormat = {
    kind: 'video',
    codec,
    clockRateHz: 90_000,
    width: cursor.u16(),
    height: cursor.u16(),
    codecString: codec === 'av1' ? av1CodecString(config) : vp9CodecString(config),
    parameterSets: { vps: [], sps: [], pps: [] },
    config,
    reorderDepth: 0,
  };
  return { kind: 'video', codec, format, nal: undefined };
}

/** AV1 binding, annex "Codecs Parameter String", from av1C §2.3. */
function av1CodecString(config: Buffer): string {
  if (config.length < 4) throw new WireError('mp4.av1c', `av1C of ${config.length} bytes`, 0);
  const profile = config.readUInt8(1) >> 5;
  const level = config.readUInt8(1) & 0x1f;
  const bits = config.readUInt8(2);
  const tier = (bits & 0x80) === 0 ? 'M' : 'H';
  const depth = (bits & 0x40) === 0 ? 8 : (bits & 0x20) === 0 ? 10 : 12;
  return `av01.${profile}.${two(level)}${tier}.${two(depth)}`;
}

/** VP binding, "Codecs Parameter String": profile, level, bit depth. */
function vp9CodecString(config: Buffer): string {
  if (config.length < 3) throw new WireError('mp4.vpcc', `vpcC of ${config.length} bytes`, 0);
  return `vp09.${two(config.readUInt8(0))}.${two(config.readUInt8(1))}.${two(config.readUInt8(2) >> 4)}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function audioFields(data: Buffer, entry: BoxAt): { channels: number; sampleRateHz: number } {
  const cursor = new Cursor(data, entry);
  cursor.skip(16);
  const channels = cursor.u16();
  cursor.skip(6);
  return { channels, sampleRateHz: cursor.u32() >>> 16 };
}

function mp4a(data: Buffer, entry: BoxAt): Described | null {
  const box = configBox(data, entry, AUDIO_BYTES, 'esds');
  if (box === undefined) return null;
  const { objectType, config } = parseEsds(data, box);
  if (objectType === 0x6b || objectType === 0x69) {
    const { channels, sampleRateHz } = audioFields(data, entry);
    const format = audio('mp3', sampleRateHz, channels, 'mp3', Buffer.alloc(0));
    return { kind: 'audio', codec: 'mp3', format, nal: undefined };
  }
  if (config.length === 0) return null;
  return { kind: 'audio', codec: 'aac', format: makeAacFormat(config), nal: undefined };
}

/** ES descriptor (ISO/IEC 14496-1 §7.2.6.5). */
function parseEsds(data: Buffer, box: BoxAt): { objectType: number; config: Buffer } {
  const cursor = new Cursor(data, box);
  cursor.skip(4);
  let objectType = 0;
  while (cursor.left >= 2) {
    const tag = cursor.u8();
    let bytes = 0;
    for (let count = 0; count < 4; count++) {
      const byte = cursor.u8();
      bytes = bytes * 128 + (byte & 0x7f);
      if ((byte & 0x80) === 0) break;
    }
    if (tag === 0x03) {
      cursor.skip(2);
      const flags = cursor.u8();
      if ((flags & 0x80) !== 0) cursor.skip(2);
      if ((flags & 0x40) !== 0) cursor.skip(cursor.u8());
      if ((flags & 0x20) !== 0) cursor.skip(2);
    } else if (tag === 0x04) {
      objectType = cursor.u8();
      cursor.skip(12);
    } else if (tag === 0x05) {
      return { objectType, config: cursor.bytes(bytes) };
    } else {
      cursor.skip(bytes);
    }
  }
  return { objectType, config: Buffer.alloc(0) };
}

function opus(data: Buffer, entry: BoxAt): Described | null {
  const box = configBox(data, entry, AUDIO_BYTES, 'dOps');
  if (box === undefined) return null;
  const cursor = new Cursor(data, box);
  cursor.skip(1);
  const channels = cursor.u8();
  const head = buildOpusHead(channels, cursor.u16(), cursor.u32());
  const format = audio('opus', 48_000, channels, 'opus', head);
  return { kind: 'audio', codec: 'opus', format, nal: undefined };
}

function flac(data: Buffer, entry: BoxAt): Described | null {
  const box = configBox(data, entry, AUDIO_BYTES, 'dfLa');
  if (box === undefined) return null;
  const cursor = new Cursor(data, box);
  cursor.skip(4);
  if ((cursor.u8() & 0x7f) !== 0) throw new WireError('mp4.dfla', 'dfLa does not begin with STREAMINFO', box.start);
  const info = cursor.bytes(cursor.u24());
  if (info.length !== 34) throw new WireError('mp4.dfla', `STREAMINFO of ${info.length} bytes, expected 34`, box.start);
  const bits = info.readUInt32BE(10);
  const format = audio('flac', bits >>> 12, ((bits >> 9) & 7) + 1, 'flac', info);
  return { kind: 'audio', codec: 'flac', format, nal: undefined };
}

function audio(
  codec: AudioFormat['codec'],
  sampleRateHz: number,
  channels: number,
  codecString: string,
  config: Buffer,
): AudioFormat {
  if (sampleRateHz === 0 || channels === 0) {
    throw new WireError('mp4.audio', `${codec} with ${channels} channels at ${sampleRateHz} Hz`, 0);
  }
  return { kind: 'audio', codec, clockRateHz: sampleRateHz, sampleRateHz, channels, codecString, config };
}
