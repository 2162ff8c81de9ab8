import type { TrackFormat } from '../../core/media.ts';
import { box, fullBox, text, u8, u16, u32, u64, zeros } from './box.ts';
import { sampleEntry, timescaleOf } from './sample-entry.ts';

/** A track of a file, in file order. */
export interface Mp4Track {
  /** `track_ID`, from 1 on, unique in the file. */
  readonly id: number;
  readonly format: TrackFormat;
  /**
   * Media time (ticks of the track) that is shown at presentation time 0, written as an edit list: a viewer who joins
   * a shared time line late starts at 0 all the same. 0 or absent: no edit list.
   */
  readonly startTicks?: number;
}

export interface InitOptions {
  /** Turns the picture by 90° steps when it is shown. */
  readonly rotate?: 0 | 90 | 180 | 270;
  /** Pixel aspect ratio as [horizontal, vertical] spacing. */
  readonly pixelAspect?: readonly [number, number];
  /** How long a finished file is with all its fragments, so that players can show it before they have read it. */
  readonly durationMs?: number;
}

const MATRICES: Readonly<Record<0 | 90 | 180 | 270, readonly number[]>> = {
  0: [1, 0, 0, 1],
  90: [0, 1, -1, 0],
  180: [-1, 0, 0, -1],
  270: [0, -1, 1, 0],
};

/** Initialization segment of a fragmented MP4 (ISO/IEC 14496-12 §8.8): `ftyp` and a `moov` without samples. */
export function initSegment(tracks: readonly Mp4Track[], options: InitOptions = {}): Buffer {
  const ftyp = box('ftyp', text('iso5'), u32(512), text('iso5iso6mp41'));
  const { durationMs } = options;
  const nextTrackId = Math.max(0, ...tracks.map((track) => track.id)) + 1;
  const moov = box(
    'moov',
    mvhd(nextTrackId, durationMs ?? 0),
    tracks.map((track) => trak(track, options)),
    box(
      'mvex',
      // §8.8.2; FFmpeg, and so Chromium, looks at `mvhd` instead.
      durationMs === undefined ? [] : [fullBox('mehd', 0, 0, u32(durationMs))],
      tracks.map((track) => fullBox('trex', 0, 0, u32(track.id, 1, 0, 0, 0))),
    ),
  );
  return Buffer.concat([ftyp, moov]);
}

const MOVIE_TIMESCALE = 1_000;

function mvhd(nextTrackId: number, durationMs: number): Buffer {
  return fullBox(
    'mvhd',
    0,
    0,
    u32(0, 0, MOVIE_TIMESCALE, durationMs),
    u32(0x0001_0000), // rate 1.0
    u16(0x0100, 0), // volume 1.0
    zeros(8),
    matrix([1, 0, 0, 1]),
    zeros(24),
    u32(nextTrackId),
  );
}

function matrix([a = 1, b = 0, c = 0, d = 1]: readonly number[]): Buffer {
  const out = Buffer.alloc(36);
  out.writeInt32BE(a * 65_536, 0);
  out.writeInt32BE(b * 65_536, 4);
  out.writeInt32BE(c * 65_536, 12);
  out.writeInt32BE(d * 65_536, 16);
  out.writeInt32BE(0x4000_0000, 32);
  return out;
}

function trak(track: Mp4Track, options: InitOptions): Buffer {
  const { format } = track;
  const video = format.kind === 'video';
  const tkhd = fullBox(
    'tkhd',
    0,
    3, // enabled, in movie
    u32(0, 0, track.id, 0, 0),
    zeros(8),
    u16(0, video ? 0 : 1, video ? 0 : 0x0100, 0), // layer, alternate group, volume
    matrix(MATRICES[(video && options.rotate) || 0]),
    video ? u32(displayWidth(format.width, options) * 65_536, format.height * 65_536) : zeros(8),
  );
  const start = track.startTicks ?? 0;
  const edts = start === 0 ? [] : [box('edts', fullBox('elst', 1, 0, u32(1), u64(0), u64(start), u16(1, 0)))];
  const mdhd = fullBox('mdhd', 0, 0, u32(0, 0, timescaleOf(format), 0), u16(0x55c4, 0)); // language "und"
  const hdlr = fullBox(
    'hdlr',
    0,
    0,
    u32(0),
    text(video ? 'vide' : 'soun'),
    zeros(12),
    text(video ? 'VideoHandler' : 'SoundHandler'),
    u8(0),
  );
  const dinf = box('dinf', fullBox('dref', 0, 0, u32(1), fullBox('url ', 0, 1)));
  const stbl = box(
    'stbl',
    fullBox('stsd', 0, 0, u32(1), entry(format, options)),
    fullBox('stts', 0, 0, u32(0)),
    fullBox('stsc', 0, 0, u32(0)),
    fullBox('stsz', 0, 0, u32(0, 0)),
    fullBox('stco', 0, 0, u32(0)),
  );
  const header = video ? fullBox('vmhd', 0, 1, zeros(8)) : fullBox('smhd', 0, 0, zeros(4));
  return box('trak', tkhd, edts, box('mdia', mdhd, hdlr, box('minf', header, dinf, stbl)));
}

function displayWidth(widthPixels: number, options: InitOptions): number {
  const [horizontal, vertical] = options.pixelAspect ?? [1, 1];
  return Math.min(65_535, Math.round((widthPixels * horizontal) / vertical));
}

/** The sample entry, with a `pasp` box (§12.1.4) inside where the pixels are not square. */
function entry(format: TrackFormat, options: InitOptions): Buffer {
  const plain = sampleEntry(format);
  if (format.kind !== 'video' || options.pixelAspect === undefined) return plain;
  const full = Buffer.concat([plain, box('pasp', u32(...options.pixelAspect))]);
  full.writeUInt32BE(full.length, 0);
  return full;
}
