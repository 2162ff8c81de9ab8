import { adtsConfig, readAdtsHeader } from '../../wire/aac/adts.ts';
import { makeAacFormat } from '../../wire/aac/config.ts';
import { type LatmConfig, readAudioMuxElement, readLoasHeader } from '../../wire/aac/latm.ts';
import { makeAudioFormat } from '../../wire/codecs/formats.ts';
import { forEachAnnexBNal } from '../../wire/codecs/nal.ts';
import type { OnProblem } from '../../wire/codecs/nal-assembler.ts';
import { NalAssembler } from '../../wire/codecs/nal-assembler.ts';
import { readMp3Header } from '../../wire/mp3/frame.ts';
import { splitOpusPes } from '../../wire/mpegts/opus.ts';
import { opusPacketSamples } from '../../wire/opus/opus.ts';
import { WireError } from '../errors.ts';
import type { AudioFormat, TrackFormat } from '../media.ts';
import type { Slot, TrackSet } from './track-set.ts';

/**
 * Media time of audio whose container rounds to milliseconds or 90 kHz: frames follow one another without gap or
 * overlap as long as the container agrees within this.
 */
const AUDIO_TOLERANCE_MS = 25;
/** More PCM in one packet is no camera: 65 s of telephone sound. */
const MAX_PCM_SAMPLES = 512 * 1024;

/** Counts samples between the times of a container, which stand with few frames and are rounded. */
export class AudioClock {
  #nextTicks = Number.NaN;

  /** `ticks` as the container has it, undefined where it has none; gives the time of a frame of `samples`. */
  place(ticks: number | undefined, clockRateHz: number, samples: number): number {
    const expected = this.#nextTicks;
    let at = ticks ?? (Number.isNaN(expected) ? 0 : expected);
    if (!Number.isNaN(expected) && Math.abs(at - expected) * 1000 <= AUDIO_TOLERANCE_MS * clockRateHz) at = expected;
    this.#nextTicks = at + samples;
    return at;
  }
}

/** Takes the payloads of one elementary stream as MPEG-TS carries them. Times are of 90 kHz; null where unknown. */
export interface Elementary {
  readonly slot: Slot;
  /** `data` is valid during the call only. @throws WireError when the payload is damaged. */
  push(data: Buffer, pts90k: number | null, dts90k: number | null): void;
}

/** H.264 or H.265 in a byte stream; a payload is one picture, a part before it (parameter sets), or several. */
export class NalElementary implements Elementary {
  readonly slot: Slot;
  readonly #tracks: TrackSet;
  readonly #assembler: NalAssembler;
  #lastDts = Number.NaN;
  #intervalTicks = 3_600;

  constructor(tracks: TrackSet, codec: 'h264' | 'h265', onProblem: OnProblem) {
    this.#tracks = tracks;
    this.slot = tracks.add('video', codec);
    this.#assembler = new NalAssembler(codec, onProblem);
  }

  push(data: Buffer, pts90k: number | null, dts90k: number | null): void {
    try {
      this.#push(data, pts90k, dts90k);
    } catch (error) {
      this.#assembler.reset();
      throw error;
    }
  }

  #push(data: Buffer, pts90k: number | null, dts90k: number | null): void {
    const assembler = this.#assembler;
    let pts = pts90k ?? this.#lastDts + this.#intervalTicks;
    let dts = dts90k ?? pts;
    forEachAnnexBNal(data, (bytes, start, end) => {
      // A delimiter behind a picture begins another one in the same payload, which has no time of its own.
      if (assembler.hasPicture && isDelimiter(assembler.codec, bytes[start] ?? 0)) {
        this.#give(pts, dts);
        pts += this.#intervalTicks;
        dts += this.#intervalTicks;
      }
      assembler.add(bytes, start, end);
    });
    // Some cameras send the parameter sets in a packet of their own: they belong to the picture that follows.
    if (assembler.hasPicture) this.#give(pts, dts);
  }

  #give(pts: number, dts: number): void {
    const made = this.#assembler.take();
    const step = dts - this.#lastDts;
    if (step > 0 && step < 90_000) this.#intervalTicks = step;
    this.#lastDts = dts;
    if (made === null || Number.isNaN(pts)) return;
    this.#tracks.unit(this.slot, { format: made.format, ticks: pts, decodeTicks: dts, key: made.key, data: made.data });
  }
}

function isDelimiter(codec: 'h264' | 'h265', head: number): boolean {
  return codec === 'h264' ? (head & 0x1f) === 9 : ((head >> 1) & 0x3f) === 35;
}

/** What all kinds of audio share: the format, the running time, the copy of the bytes. */
abstract class AudioElementary implements Elementary {
  readonly slot: Slot;
  readonly #tracks: TrackSet;
  readonly #clock = new AudioClock();

  constructor(tracks: TrackSet, slot: Slot) {
    this.#tracks = tracks;
    this.slot = slot;
  }

  abstract push(data: Buffer, pts90k: number | null): void;

  /** `pts90k` undefined: right behind the frame before. */
  protected give(format: AudioFormat, data: Buffer, samples: number, pts90k: number | null): void {
    const ticks = pts90k === null ? undefined : Math.round((pts90k * format.clockRateHz) / 90_000);
    const placed = this.#clock.place(ticks, format.clockRateHz, samples);
    if (!this.#tracks.wanted(this.slot)) return;
    this.#tracks.unit(this.slot, { format, ticks: placed, decodeTicks: placed, key: true, data: Buffer.from(data) });
  }
}

/** AAC behind ADTS headers; a frame may go on in the next payload. */
export class AdtsElementary extends AudioElementary {
  #format: AudioFormat | null = null;
  #channels = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(tracks: TrackSet) {
    super(tracks, tracks.add('audio', 'aac'));
  }

  push(data: Buffer, pts90k: number | null): void {
    const all = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    // The time belongs to the first frame that begins in this payload.
    let pts = this.#rest.length === 0 ? pts90k : null;
    let at = 0;
    while (at + 7 <= all.length) {
      const header = readAdtsHeader(all, at);
      if (header === null) {
        at++;
        continue;
      }
      if (at + header.frameBytes > all.length) break;
      const { sampleRateHz, channels } = header;
      if (this.#format?.sampleRateHz !== sampleRateHz || this.#channels !== channels) {
        this.#format = makeAacFormat(adtsConfig(header));
        this.#channels = channels;
      }
      const body = all.subarray(at + header.headerBytes, at + header.frameBytes);
      this.give(this.#format, body, 1024 * header.blocks, pts);
      pts = null;
      at += header.frameBytes;
    }
    const rest = all.subarray(at);
    this.#rest = rest.length === 0 ? rest : Buffer.from(rest);
  }
}

/** AAC in LATM with LOAS framing (ISO/IEC 14496-3 §1.7). */
export class LatmElementary extends AudioElementary {
  #config: LatmConfig | null = null;
  #format: AudioFormat | null = null;

  constructor(tracks: TrackSet) {
    super(tracks, tracks.add('audio', 'aac'));
  }

  push(data: Buffer, pts90k: number | null): void {
    let pts = pts90k;
    let at = 0;
    while (at + 3 <= data.length) {
      const loas = readLoasHeader(data, at);
      if (loas === null) {
        at++;
        continue;
      }
      const element = data.subarray(at + 3, at + 3 + loas.elementBytes);
      at += 3 + loas.elementBytes;
      if (element.length < loas.elementBytes) return;
      const { config, frames } = readAudioMuxElement(element, this.#config, true);
      if (config === null) continue;
      if (this.#format === null || !this.#format.config.equals(config.config))
        this.#format = makeAacFormat(config.config);
      this.#config = config;
      for (const frame of frames) {
        this.give(this.#format, frame, 1024, pts);
        pts = null;
      }
    }
  }
}

export class OpusElementary extends AudioElementary {
  readonly #format: AudioFormat;

  constructor(tracks: TrackSet, channels: number) {
    const format = makeAudioFormat('opus', 48_000, channels);
    super(tracks, tracks.add('audio', 'opus', format));
    this.#format = format;
  }

  push(data: Buffer, pts90k: number | null): void {
    let pts = pts90k;
    for (const packet of splitOpusPes(data)) {
      this.give(this.#format, packet, opusPacketSamples(packet), pts);
      pts = null;
    }
  }
}

export class Mp3Elementary extends AudioElementary {
  #format: AudioFormat | null = null;
  #rest: Buffer = Buffer.alloc(0);

  constructor(tracks: TrackSet) {
    super(tracks, tracks.add('audio', 'mp3'));
  }

  push(data: Buffer, pts90k: number | null): void {
    const all = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    let pts = this.#rest.length === 0 ? pts90k : null;
    let at = 0;
    while (at + 4 <= all.length) {
      const header = readMp3Header(all, at);
      if (header === null) {
        at++;
        continue;
      }
      if (at + header.frameBytes > all.length) break;
      const { sampleRateHz, channels } = header;
      if (this.#format?.sampleRateHz !== sampleRateHz || this.#format.channels !== channels) {
        this.#format = makeAudioFormat('mp3', sampleRateHz, channels);
      }
      this.give(this.#format, all.subarray(at, at + header.frameBytes), header.samples, pts);
      pts = null;
      at += header.frameBytes;
    }
    const rest = all.subarray(at);
    this.#rest = rest.length === 0 ? rest : Buffer.from(rest);
  }
}

/** A-law, µ-law: one byte a sample; L16 two. */
export class PcmElementary extends AudioElementary {
  readonly #format: AudioFormat;
  readonly #bytesPerSample: number;

  constructor(tracks: TrackSet, codec: 'pcma' | 'pcmu' | 'l16', sampleRateHz: number, channels: number) {
    const format = makeAudioFormat(codec, sampleRateHz, channels);
    super(tracks, tracks.add('audio', codec, format));
    this.#format = format;
    this.#bytesPerSample = channels * (codec === 'l16' ? 2 : 1);
  }

  get format(): TrackFormat {
    return this.#format;
  }

  push(data: Buffer, pts90k: number | null): void {
    const samples = Math.floor(data.length / this.#bytesPerSample);
    if (samples > MAX_PCM_SAMPLES) throw new WireError('pcm.large', `${data.length} bytes of PCM in one packet`, 0);
    if (samples > 0) this.give(this.#format, data, samples, pts90k);
  }
}
