import {
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_ADPCM_G722,
  AV_CODEC_ID_AV1,
  AV_CODEC_ID_FLAC,
  AV_CODEC_ID_H264,
  AV_CODEC_ID_HEVC,
  AV_CODEC_ID_MJPEG,
  AV_CODEC_ID_MP3,
  AV_CODEC_ID_OPUS,
  AV_CODEC_ID_PCM_ALAW,
  AV_CODEC_ID_PCM_MULAW,
  AV_CODEC_ID_PCM_S16BE,
  AV_CODEC_ID_PCM_S16LE,
  AV_CODEC_ID_VP8,
  AV_CODEC_ID_VP9,
  type AVCodecID,
  AVMEDIA_TYPE_VIDEO,
} from 'node-av/constants';
import { avGetCodecName, type Packet, type Stream } from 'node-av/lib';
import { type Codec, VIDEO_CLOCK_HZ } from '../../../core/media.ts';
import type { DemuxedTrack } from '../demux-protocol.ts';
import { PictureMaker } from './picture-maker.ts';
import { SoundMaker } from './sound-maker.ts';

/** In ticks of the track's clock. */
export interface LaneUnit {
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

/** One track on its way out. */
export interface Lane {
  readonly track: DemuxedTrack;
  /** In words, when its codec is one that nothing here plays: what it is made into. */
  readonly made: string | null;
  /** A round begins: decoders start anew. */
  begin(stream: Stream): void;
  /** @param movedS what was added to the packet's own times */
  push(packet: Packet, ptsS: number, dtsS: number, movedS: number): void;
  /** The round is over: what decoders hold back comes out. */
  end(): void;
}

/** Codecs that are handed on as they are. */
const KNOWN: ReadonlyMap<AVCodecID, Codec> = new Map<AVCodecID, Codec>([
  [AV_CODEC_ID_H264, 'h264'],
  [AV_CODEC_ID_HEVC, 'h265'],
  [AV_CODEC_ID_AV1, 'av1'],
  [AV_CODEC_ID_VP8, 'vp8'],
  [AV_CODEC_ID_VP9, 'vp9'],
  [AV_CODEC_ID_MJPEG, 'jpeg'],
  [AV_CODEC_ID_AAC, 'aac'],
  [AV_CODEC_ID_OPUS, 'opus'],
  [AV_CODEC_ID_FLAC, 'flac'],
  [AV_CODEC_ID_MP3, 'mp3'],
  [AV_CODEC_ID_PCM_ALAW, 'pcma'],
  [AV_CODEC_ID_PCM_MULAW, 'pcmu'],
  [AV_CODEC_ID_PCM_S16BE, 'l16'],
  [AV_CODEC_ID_PCM_S16LE, 'l16'],
  [AV_CODEC_ID_ADPCM_G722, 'g722'],
]);
/** Bytes of a sample of codecs whose packets can be cut anywhere. */
const SAMPLE_BYTES: Readonly<Partial<Record<Codec, number>>> = { pcma: 1, pcmu: 1, l16: 2 };
/** Files hold half a second of samples in a packet; players and RTP want less. */
const PIECE_S = 0.02;
const MAX_CHANNELS = 2;

/** @throws Error when FFmpeg here can't decode it */
export function makeLane(stream: Stream, emit: (unit: LaneUnit) => void): Lane {
  const { codecId, codecType, channels } = stream.codecpar;
  const isVideo = codecType === AVMEDIA_TYPE_VIDEO;
  const codec = KNOWN.get(codecId);
  const bytes = codec === undefined ? undefined : SAMPLE_BYTES[codec];
  // Samples of more than two loudspeakers are mixed: nothing here can say which is which.
  const plain = codec !== undefined && !(bytes !== undefined && channels > MAX_CHANNELS);
  if (plain)
    return bytes === undefined ? new CopyLane(stream, codec, emit) : new SampleLane(stream, codec, bytes, emit);
  const name = avGetCodecName(codecId) ?? 'an unknown codec';
  return isVideo ? new PictureLane(name, emit) : new SoundLane(stream, name, emit);
}

function trackOf(stream: Stream, codec: Codec): DemuxedTrack {
  const { codecType, sampleRate, channels, extradata } = stream.codecpar;
  const isVideo = codecType === AVMEDIA_TYPE_VIDEO;
  const rate = codec === 'opus' ? 48_000 : Math.max(1, sampleRate);
  return {
    codec,
    clockRateHz: isVideo ? VIDEO_CLOCK_HZ : rate,
    sampleRateHz: isVideo ? 0 : rate,
    channels: isVideo ? 0 : Math.max(1, channels),
    config: extradata === null ? Buffer.alloc(0) : Buffer.from(extradata),
  };
}

class CopyLane implements Lane {
  readonly track: DemuxedTrack;
  readonly made = null;
  readonly #emit: (unit: LaneUnit) => void;

  constructor(stream: Stream, codec: Codec, emit: (unit: LaneUnit) => void) {
    this.track = trackOf(stream, codec);
    this.#emit = emit;
  }

  begin(): void {}

  push(packet: Packet, ptsS: number, dtsS: number): void {
    const { data } = packet;
    const clock = this.track.clockRateHz;
    if (data === null) return;
    const key = packet.isKeyframe;
    this.#emit({ pts: Math.round(ptsS * clock), dts: Math.round(dtsS * clock), key, data: Buffer.from(data) });
  }

  end(): void {}
}

/** Samples: in network order, in pieces of 20 ms. */
class SampleLane implements Lane {
  readonly track: DemuxedTrack;
  readonly made = null;
  readonly #swapped: boolean;
  readonly #frameBytes: number;
  readonly #emit: (unit: LaneUnit) => void;

  constructor(stream: Stream, codec: Codec, sampleBytes: number, emit: (unit: LaneUnit) => void) {
    this.track = trackOf(stream, codec);
    this.#swapped = stream.codecpar.codecId === AV_CODEC_ID_PCM_S16LE;
    this.#frameBytes = sampleBytes * this.track.channels;
    this.#emit = emit;
  }

  begin(): void {}

  push(packet: Packet, ptsS: number): void {
    const { data } = packet;
    if (data === null) return;
    const whole = Buffer.from(data.subarray(0, data.length - (data.length % this.#frameBytes)));
    if (this.#swapped) whole.swap16();
    emitPieces(whole, Math.round(ptsS * this.track.clockRateHz), this.#frameBytes, this.track.clockRateHz, this.#emit);
  }

  end(): void {}
}

function emitPieces(
  samples: Buffer,
  firstTicks: number,
  frameBytes: number,
  rateHz: number,
  emit: (unit: LaneUnit) => void,
): void {
  const step = Math.max(1, Math.round(rateHz * PIECE_S));
  for (let at = 0; at * frameBytes < samples.length; at += step) {
    const data = samples.subarray(at * frameBytes, (at + step) * frameBytes);
    emit({ pts: firstTicks + at, dts: firstTicks + at, key: true, data });
  }
}

/** Pictures of a codec that nothing here plays, as H.264. */
class PictureLane implements Lane {
  readonly track: DemuxedTrack = {
    codec: 'h264',
    clockRateHz: VIDEO_CLOCK_HZ,
    sampleRateHz: 0,
    channels: 0,
    config: Buffer.alloc(0),
  };
  readonly made: string;
  readonly #maker: PictureMaker;
  #movedS = 0;

  constructor(name: string, emit: (unit: LaneUnit) => void) {
    this.made = `its picture is ${name}, which nothing plays here: it is made into H.264`;
    this.#maker = new PictureMaker(emit);
  }

  begin(stream: Stream): void {
    this.#maker.begin(stream);
  }

  push(packet: Packet, _ptsS: number, _dtsS: number, movedS: number): void {
    this.#movedS = movedS;
    this.#maker.push(packet, movedS);
  }

  end(): void {
    this.#maker.push(null, this.#movedS);
  }
}

/** Sound of a codec that nothing here plays, as samples: what viewers want is made of these like of a camera's. */
class SoundLane implements Lane {
  readonly track: DemuxedTrack;
  readonly made: string;
  readonly #maker: SoundMaker;
  #movedS = 0;

  constructor(stream: Stream, name: string, emit: (unit: LaneUnit) => void) {
    this.made = `its sound is ${name}, which nothing plays here: it is made into PCM`;
    const sampleRateHz = Math.max(1, stream.codecpar.sampleRate);
    const channels = Math.min(MAX_CHANNELS, Math.max(1, stream.codecpar.channels));
    this.track = { codec: 'l16', clockRateHz: sampleRateHz, sampleRateHz, channels, config: Buffer.alloc(0) };
    this.#maker = new SoundMaker(sampleRateHz, channels, (samples, ticks) =>
      emitPieces(samples.swap16(), ticks, 2 * channels, sampleRateHz, emit),
    );
  }

  begin(stream: Stream): void {
    this.#maker.begin(stream);
  }

  push(packet: Packet, _ptsS: number, _dtsS: number, movedS: number): void {
    this.#movedS = movedS;
    this.#maker.push(packet, movedS);
  }

  end(): void {
    this.#maker.push(null, this.#movedS);
  }
}
