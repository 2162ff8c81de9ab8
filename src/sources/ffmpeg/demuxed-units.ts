import { WireError } from '../../core/errors.ts';
import type { AudioFormat, Codec, TrackFormat } from '../../core/media.ts';
import { adtsConfig, readAdtsHeader } from '../../wire/aac/adts.ts';
import { makeAacFormat } from '../../wire/aac/config.ts';
import { forEachObu, OBU } from '../../wire/av1/obu.ts';
import { Av1Inspector } from '../../wire/av1/unit.ts';
import { makeAudioFormat, makeVideoFormat } from '../../wire/codecs/formats.ts';
import { addAnnexB, addLengthPrefixed, type MediaProblem, NalAssembler } from '../../wire/codecs/nal-assembler.ts';
import { parseAvcC } from '../../wire/h264/format.ts';
import { parseHvcC } from '../../wire/h265/format.ts';
import { parseJpeg } from '../../wire/jpeg/jpeg.ts';
import { makeVp8Format } from '../../wire/vp8/format.ts';
import { vp8KeySize } from '../../wire/vp8/vp8.ts';
import { makeVp9Format } from '../../wire/vp9/format.ts';
import { readVp9Key } from '../../wire/vp9/vp9.ts';
import type { DemuxedTrack } from './demux-protocol.ts';

export interface ReadUnit {
  readonly format: TrackFormat;
  readonly key: boolean;
  readonly data: Buffer;
}

/** Turns a track's packets as FFmpeg's demuxers give them into access units (see `AccessUnit.data`). */
export interface UnitReader {
  /** Null while only the packets can tell it. */
  readonly format: TrackFormat | null;
  /** @returns null for a packet that holds nothing, or can't be read */
  read(data: Buffer, key: boolean): ReadUnit | null;
}

/** @throws WireError when the track's configuration record is damaged */
export function makeUnitReader(track: DemuxedTrack, onProblem: (problem: MediaProblem) => void): UnitReader {
  switch (track.codec) {
    case 'h264':
    case 'h265':
      return new NalReader(track.codec, track.config, onProblem);
    case 'av1':
      return new Av1Reader(track.config, onProblem);
    case 'vp8':
      return new HeaderReader((data) => {
        const size = vp8KeySize(data);
        return size === null ? null : makeVp8Format(size.width, size.height);
      });
    case 'vp9':
      return new HeaderReader((data) => {
        const key = readVp9Key(data);
        return key === null ? null : makeVp9Format(key);
      });
    case 'jpeg':
      return new HeaderReader((data) => {
        const { width, height } = parseJpeg(data);
        return makeVideoFormat('jpeg', width, height);
      });
    case 'aac':
      return new AacReader(track, onProblem);
    case 'flac':
      return new PlainReader({
        ...plainFormat(track, 'l16'),
        codec: 'flac',
        codecString: 'flac',
        config: track.config,
      });
    case 'g726':
      throw new WireError('ffmpeg.codec', 'G.726 is never handed on as it is', 0);
    default:
      return new PlainReader(plainFormat(track, track.codec));
  }
}

function plainFormat(track: DemuxedTrack, codec: Exclude<AudioFormat['codec'], 'aac' | 'flac'>): AudioFormat {
  const made = makeAudioFormat(codec, track.sampleRateHz, track.channels, track.clockRateHz);
  return codec === 'opus' && track.config.length > 0 ? { ...made, config: track.config } : made;
}

class PlainReader implements UnitReader {
  readonly format: TrackFormat;

  constructor(format: TrackFormat) {
    this.format = format;
  }

  read(data: Buffer): ReadUnit | null {
    return data.length === 0 ? null : { format: this.format, key: true, data };
  }
}

class NalReader implements UnitReader {
  readonly #assembler: NalAssembler;
  readonly #sets: readonly Buffer[];
  /** 0: a byte stream with start codes. */
  readonly #lengthBytes: 0 | 1 | 2 | 3 | 4;
  readonly #onProblem: (problem: MediaProblem) => void;

  constructor(codec: 'h264' | 'h265', config: Buffer, onProblem: (problem: MediaProblem) => void) {
    this.#assembler = new NalAssembler(codec, onProblem);
    this.#onProblem = onProblem;
    if (config.length === 0 || config[0] !== 1) {
      this.#sets = [];
      this.#lengthBytes = 0;
      addAnnexB(this.#assembler, config);
    } else if (codec === 'h264') {
      const { lengthBytes, sps, pps } = parseAvcC(config);
      this.#sets = [...sps, ...pps];
      this.#lengthBytes = lengthBytes;
    } else {
      const { lengthBytes, vps, sps, pps } = parseHvcC(config);
      this.#sets = [...vps, ...sps, ...pps];
      this.#lengthBytes = lengthBytes;
    }
    for (const set of this.#sets) this.#assembler.add(set);
  }

  get format(): TrackFormat | null {
    return this.#assembler.format;
  }

  read(data: Buffer): ReadUnit | null {
    try {
      if (this.#lengthBytes === 0) addAnnexB(this.#assembler, data);
      else addLengthPrefixed(this.#assembler, data, this.#lengthBytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#onProblem({ code: error.code, message: error.message });
      this.#assembler.reset();
      return null;
    }
    return this.#assembler.take();
  }
}

class Av1Reader implements UnitReader {
  readonly #inspector: Av1Inspector;

  constructor(config: Buffer, onProblem: (problem: MediaProblem) => void) {
    this.#inspector = new Av1Inspector(onProblem);
    // "AV1 Codec ISO Media File Format Binding" §2.3: four bytes, then OBUs.
    if (config.length > 4 && config[0] === 0x81) this.#inspector.inspect(config.subarray(4));
    else if (config.length > 0) this.#inspector.inspect(config);
  }

  get format(): TrackFormat | null {
    return this.#inspector.format;
  }

  read(data: Buffer): ReadUnit | null {
    const unit = withoutDelimiters(data);
    if (unit === null || unit.length === 0) return null;
    const { key, format } = this.#inspector.inspect(unit);
    return format === null ? null : { format, key, data: unit };
  }
}

/** Null when the unit is damaged. */
function withoutDelimiters(data: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  try {
    forEachObu(data, (type, start, _from, end) => {
      if (type !== OBU.temporalDelimiter) parts.push(data.subarray(start, end));
    });
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
  return parts.length === 1 ? (parts[0] ?? null) : Buffer.concat(parts);
}

/** Codecs whose key frames say what they are. */
class HeaderReader implements UnitReader {
  format: TrackFormat | null = null;
  readonly #formatOf: (data: Buffer) => TrackFormat | null;

  constructor(formatOf: (data: Buffer) => TrackFormat | null) {
    this.#formatOf = formatOf;
  }

  read(data: Buffer): ReadUnit | null {
    if (data.length === 0) return null;
    let found: TrackFormat | null;
    try {
      found = this.#formatOf(data);
    } catch (error) {
      if (error instanceof WireError) return null;
      throw error;
    }
    if (found !== null && !isSame(found, this.format)) this.format = found;
    return this.format === null ? null : { format: this.format, key: found !== null, data };
  }
}

/** A new object means a new decoder, so that it is kept while nothing changes. */
function isSame(one: TrackFormat, other: TrackFormat | null): boolean {
  return (
    one.kind === 'video' &&
    other?.kind === 'video' &&
    one.width === other.width &&
    one.height === other.height &&
    one.config.equals(other.config)
  );
}

/** MPEG-TS and bare files have a header before each frame and no configuration. */
class AacReader implements UnitReader {
  format: TrackFormat | null;
  readonly #clockRateHz: number;
  readonly #onProblem: (problem: MediaProblem) => void;

  constructor(track: DemuxedTrack, onProblem: (problem: MediaProblem) => void) {
    this.#clockRateHz = track.clockRateHz;
    this.#onProblem = onProblem;
    this.format = track.config.length === 0 ? null : makeAacFormat(track.config, track.clockRateHz);
  }

  read(data: Buffer): ReadUnit | null {
    if (data.length === 0) return null;
    const header = readAdtsHeader(data);
    if (header !== null && header.frameBytes === data.length) {
      try {
        this.format ??= makeAacFormat(adtsConfig(header), this.#clockRateHz);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.#onProblem({ code: error.code, message: error.message });
        return null;
      }
      return { format: this.format, key: true, data: data.subarray(header.headerBytes) };
    }
    return this.format === null ? null : { format: this.format, key: true, data };
  }
}

/** Whether a codec is a picture's. */
export function isVideoCodec(codec: Codec): boolean {
  return ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'].includes(codec);
}
