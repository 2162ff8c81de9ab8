import { TsReader, type TsUnit } from '../../wire/mpegts/reader.ts';
import type { TsStreamInfo } from '../../wire/mpegts/tables.ts';
import {
  AdtsElementary,
  type Elementary,
  LatmElementary,
  Mp3Elementary,
  NalElementary,
  OpusElementary,
  PcmElementary,
} from './elementary.ts';
import type { Input, Problems } from './input.ts';
import type { TrackSet } from './track-set.ts';

/** MPEG-TS over HTTP, and the segments of HLS. */
export class TsInput implements Input {
  readonly #tracks: TrackSet;
  readonly #problems: Problems;
  readonly #reader: TsReader;
  readonly #elementary = new Map<TsStreamInfo, Elementary | null>();
  #toldGaps = 0;

  constructor(tracks: TrackSet, problems: Problems) {
    this.#tracks = tracks;
    this.#problems = problems;
    this.#reader = new TsReader({
      programme: (streams) => this.#programme(streams),
      unit: (unit) => this.#problems.guard(() => this.#unit(unit)),
    });
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
    const { continuityErrors, lostSyncBytes } = this.#reader.counters;
    if (continuityErrors <= this.#toldGaps) return;
    this.#toldGaps = continuityErrors;
    this.#problems.report({
      code: 'mpegts.gap',
      message: `the transport stream has gaps: ${continuityErrors} so far, ${lostSyncBytes} bytes out of step`,
    });
  }

  end(): void {
    this.#reader.end();
    this.#tracks.finish();
  }

  /** Streams that only now appear get their place; those that went are left to fall silent. */
  #programme(streams: readonly TsStreamInfo[]): void {
    const kinds = new Set<string>();
    for (const info of streams) {
      const elementary = this.#make(info, kinds);
      this.#elementary.set(info, elementary);
    }
  }

  #make(info: TsStreamInfo, kinds: Set<string>): Elementary | null {
    const kind = info.codec === 'h264' || info.codec === 'h265' ? 'video' : 'audio';
    if (info.codec === null || kinds.has(kind)) return null;
    kinds.add(kind);
    for (const [old, elementary] of this.#elementary) {
      if (old.pid === info.pid && old.codec === info.codec && old.latm === info.latm) return elementary;
    }
    const { codec } = info;
    if (codec === 'h264' || codec === 'h265') return new NalElementary(this.#tracks, codec, this.#problems.report);
    if (codec === 'aac') return info.latm ? new LatmElementary(this.#tracks) : new AdtsElementary(this.#tracks);
    if (codec === 'mp3') return new Mp3Elementary(this.#tracks);
    if (codec === 'opus') return new OpusElementary(this.#tracks, info.channels);
    if (codec === 'pcma' || codec === 'pcmu') return new PcmElementary(this.#tracks, codec, 8_000, 1);
    return null;
  }

  #unit(unit: TsUnit): void {
    const elementary = this.#elementary.get(unit.stream);
    elementary?.push(unit.data, unit.pts90k, unit.dts90k);
  }
}
