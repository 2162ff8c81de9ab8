import type { BurstMuxer } from '../../core/burst-feed.ts';
import { type AccessUnit, isVideo, type Track, type TrackFormat } from '../../core/media.ts';
import { sameFormat } from '../../wire/codecs/formats.ts';
import { aacPrefix, avcPrefix, type FlvPart, flvHeader, hevcPrefix, writeFlvTags } from '../../wire/flv/writer.ts';

const AAC_FRAME = aacPrefix('frame');
const AAC_CONFIG = aacPrefix('config');

/** H.264 or H.265 and AAC as FLV tags. A changed format is announced in between, before what is coded with it. */
export class FlvMuxer implements BurstMuxer {
  readonly #has: { readonly video: boolean; readonly audio: boolean };
  /** What has been announced last, by track. */
  readonly #formats = new Map<number, TrackFormat>();
  /** What was in force at the burst with which who joins now begins, by track. */
  #formatsAtKey = new Map<number, TrackFormat>();

  constructor(tracks: readonly Track[]) {
    this.#has = {
      video: tracks.some((track) => track.kind === 'video'),
      audio: tracks.some((track) => track.kind === 'audio'),
    };
    for (const { id, format } of tracks) if (format !== null) this.#formats.set(id, format);
    this.#formatsAtKey = new Map(this.#formats);
  }

  begin(first: AccessUnit | undefined): Buffer {
    const formats = first === undefined ? this.#formats : this.#formatsAtKey;
    const timestampMs = first === undefined ? 0 : toMs(first.dts, first.format);
    const configs = [...formats.values()].map((format) => configPart(format, timestampMs));
    return Buffer.concat([flvHeader(this.#has), writeFlvTags(configs)]);
  }

  mux(units: readonly AccessUnit[]): Buffer {
    const parts: FlvPart[] = [];
    for (const unit of units) {
      const timestampMs = toMs(unit.dts, unit.format);
      const known = this.#formats.get(unit.trackId);
      if (known !== unit.format) {
        if (known === undefined || !sameFormat(known, unit.format)) parts.push(configPart(unit.format, timestampMs));
        this.#formats.set(unit.trackId, unit.format);
      }
      if (isVideo(unit.format) && unit.key) this.#formatsAtKey = new Map(this.#formats);
      parts.push(framePart(unit, timestampMs));
    }
    return writeFlvTags(parts);
  }
}

function toMs(ticks: number, format: TrackFormat): number {
  return (ticks * 1000) / format.clockRateHz;
}

function configPart(format: TrackFormat, timestampMs: number): FlvPart {
  if (format.kind === 'audio') return { kind: 'audio', timestampMs, prefix: AAC_CONFIG, data: format.config };
  const prefix = format.codec === 'h265' ? hevcPrefix('config', true, 0) : avcPrefix('config', true, 0);
  return { kind: 'video', timestampMs, prefix, data: format.config };
}

function framePart(unit: AccessUnit, timestampMs: number): FlvPart {
  const { format, data, key } = unit;
  if (format.kind === 'audio') return { kind: 'audio', timestampMs, prefix: AAC_FRAME, data };
  // Rounded apart, so that decoding and presentation time each are exact to the millisecond.
  const compositionMs = Math.round(toMs(unit.pts, format)) - Math.round(timestampMs);
  const make = format.codec === 'h265' ? hevcPrefix : avcPrefix;
  return { kind: 'video', timestampMs, prefix: make('frame', key, compositionMs), data };
}
