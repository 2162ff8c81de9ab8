import { ByteQueue } from '../../wire/byte-queue.ts';
import { NalAssembler } from '../../wire/codecs/nal-assembler.ts';
import { readH264SliceStart } from '../../wire/h264/slice.ts';
import { parseWavHeader } from '../../wire/wav/header.ts';
import { WireError } from '../errors.ts';
import { AdtsElementary, Mp3Elementary, PcmElementary } from './elementary.ts';
import type { Input, Problems } from './input.ts';
import type { Slot, TrackSet } from './track-set.ts';

const MAX_NAL_BYTES = 8 * 1024 * 1024;
const START_CODE = Buffer.from([0, 0, 1]);

/** H.264 or H.265 as a bare byte stream. It has no times: pictures are timed by their arrival. */
export class NalStreamInput implements Input {
  readonly #tracks: TrackSet;
  readonly #slot: Slot;
  readonly #assembler: NalAssembler;
  readonly #problems: Problems;
  readonly #nowMs: () => number;
  readonly #queue = new ByteQueue();
  #searched = 0;
  #started = false;

  constructor(tracks: TrackSet, problems: Problems, codec: 'h264' | 'h265', nowMs: () => number) {
    this.#tracks = tracks;
    this.#slot = tracks.add('video', codec);
    this.#assembler = new NalAssembler(codec, problems.report);
    this.#problems = problems;
    this.#nowMs = nowMs;
  }

  push(chunk: Buffer): void {
    const queue = this.#queue;
    queue.push(chunk);
    for (;;) {
      const code = queue.indexOf(START_CODE, this.#searched);
      if (code < 0) break;
      if (this.#started) this.#nal(queue.take(code));
      else queue.skip(code);
      queue.skip(START_CODE.length);
      this.#started = true;
      this.#searched = 0;
    }
    if (queue.length > MAX_NAL_BYTES) {
      throw new WireError('nal.large', `no start code within ${queue.length} bytes`, 0);
    }
    this.#searched = Math.max(0, queue.length - START_CODE.length + 1);
  }

  end(): void {
    if (this.#started) this.#nal(this.#queue.take(this.#queue.length));
    this.#give();
    this.#tracks.finish();
  }

  #nal(raw: Buffer): void {
    let end = raw.length;
    while (end > 0 && raw[end - 1] === 0) end--;
    if (end === 0) return;
    const nal = raw.subarray(0, end);
    if (this.#assembler.hasPicture && this.#begins(nal)) this.#give();
    this.#problems.guard(() => this.#assembler.add(nal));
  }

  /** Whether a NAL unit behind a picture belongs to the next one (ISO/IEC 14496-10 §7.4.1.2.3, 23008-2 §7.4.2.4.4). */
  #begins(nal: Buffer): boolean {
    const head = nal[0] ?? 0;
    if (this.#assembler.codec === 'h264') {
      const type = head & 0x1f;
      if (type === 1 || type === 2 || type === 5) return readH264SliceStart(nal.subarray(0, 24))?.firstMb === 0;
      return (type >= 6 && type <= 9) || (type >= 14 && type <= 18);
    }
    const type = (head >> 1) & 0x3f;
    if (type < 32) return ((nal[2] ?? 0) & 0x80) !== 0;
    return (type >= 32 && type <= 35) || type === 39 || (type >= 41 && type <= 44) || (type >= 48 && type <= 55);
  }

  #give(): void {
    const ticks = Math.round(this.#nowMs() * 90);
    const made = this.#assembler.take();
    if (made === null) return;
    this.#tracks.unit(this.#slot, { format: made.format, ticks, key: made.key, data: made.data });
  }
}

/** AAC in ADTS, or MP3, one frame after another; timed by their samples. */
export class AudioFramesInput implements Input {
  readonly #elementary: AdtsElementary | Mp3Elementary;
  readonly #tracks: TrackSet;

  constructor(tracks: TrackSet, codec: 'aac' | 'mp3') {
    this.#tracks = tracks;
    this.#elementary = codec === 'aac' ? new AdtsElementary(tracks) : new Mp3Elementary(tracks);
  }

  push(chunk: Buffer): void {
    this.#elementary.push(chunk, null);
  }

  end(): void {
    this.#tracks.finish();
  }
}

const PCM_PACKET_MS = 20;

/** Samples without end, cut into packets of 20 ms. */
export class PcmInput implements Input {
  readonly #tracks: TrackSet;
  readonly #elementary: PcmElementary;
  readonly #packetBytes: number;
  readonly #swap: boolean;
  readonly #queue = new ByteQueue();

  /** `littleEndian`: 16-bit samples as WAV has them; L16 is big-endian. */
  constructor(
    tracks: TrackSet,
    codec: 'pcma' | 'pcmu' | 'l16',
    sampleRateHz: number,
    channels: number,
    littleEndian = false,
  ) {
    this.#tracks = tracks;
    this.#elementary = new PcmElementary(tracks, codec, sampleRateHz, channels);
    this.#swap = littleEndian;
    const sampleBytes = channels * (codec === 'l16' ? 2 : 1);
    this.#packetBytes = Math.max(1, Math.round((sampleRateHz * PCM_PACKET_MS) / 1000)) * sampleBytes;
  }

  push(chunk: Buffer): void {
    this.#queue.push(chunk);
    while (this.#queue.length >= this.#packetBytes) {
      const view = this.#queue.take(this.#packetBytes);
      this.#elementary.push(this.#swap ? Buffer.from(view).swap16() : view, null);
    }
  }

  end(): void {
    this.#tracks.finish();
  }
}

/** A WAV file without end. */
export class WavInput implements Input {
  readonly #tracks: TrackSet;
  #head: Buffer = Buffer.alloc(0);
  #pcm: PcmInput | null = null;

  constructor(tracks: TrackSet) {
    this.#tracks = tracks;
  }

  push(chunk: Buffer): void {
    if (this.#pcm !== null) {
      this.#pcm.push(chunk);
      return;
    }
    this.#head = Buffer.concat([this.#head, chunk]);
    const header = parseWavHeader(this.#head);
    if (header === null) return;
    const { codec, sampleRateHz, channels, dataAt } = header;
    this.#pcm = new PcmInput(this.#tracks, codec, sampleRateHz, channels, codec === 'l16');
    this.#pcm.push(this.#head.subarray(dataAt));
    this.#head = Buffer.alloc(0);
  }

  end(): void {
    this.#tracks.finish();
  }
}
