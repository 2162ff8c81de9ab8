import { opusPacketSamples } from '../wire/opus/opus.ts';
import type { AccessUnit, AudioCodec } from './media.ts';
import type { TalkCodec } from './source.ts';

export interface TalkPacerOptions {
  readonly codec: TalkCodec;
  /** Bytes of a packet, for codecs that have no packets of their own (G.711, G.722, L16); default: 20 ms. */
  readonly frameBytes?: number;
  /** False: a recording, of which nothing is left out however early it comes, within reason. */
  readonly live?: boolean;
  /** One packet's worth. `ticks` of the codec's clock, without gaps; `first`: silence came before. */
  readonly send: (frame: { readonly data: Buffer; readonly ticks: number; readonly first: boolean }) => void;
}

/** What a network does to the distances of packets is taken out by waiting so long at the beginning. */
const CUSHION_MS = 40;
/** More than this is not kept: whoever speaks is to be heard now. */
const MAX_WAITING_MS = 200;
/** What is left of it then. */
const KEPT_MS = 80;
/** Of a recording. */
const MAX_RECORDING_MS = 30_000;
const FINISH_MS = 500;
/** A timer that comes later than this has been held up: time goes on from there. */
const MAX_LATE_MS = 200;
const USUAL_FRAME_MS = 20;

interface Waiting {
  readonly data: Buffer;
  readonly ticks: number;
  /** False: it was too short, and is the end. */
  readonly whole: boolean;
}

const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Sends a voice to a camera as a microphone would: at an even pace, whatever the network did to it. Cameras play what
 * comes when it comes, so bursts would be cut off and gaps would click.
 */
export class TalkPacer {
  readonly #options: TalkPacerOptions;
  /** Null for codecs with packets of their own. */
  readonly #sampleBytes: number | null;
  readonly #frameBytes: number;
  /** Of a packet, as long as nobody says otherwise. */
  readonly #frameTicks: number;
  readonly #silence: Buffer | null;
  readonly #waiting: Waiting[] = [];
  #rest: Buffer = NOTHING;
  #waitingTicks = 0;
  #ticks = Math.floor(Math.random() * 2 ** 31);
  #timer: NodeJS.Timeout | undefined;
  #nextMs = 0;
  /** Whether the last frame was sound. */
  #speaking = false;
  #waitedSinceMs = 0;
  #closed = false;
  #finishing: PromiseWithResolvers<void> | undefined;
  /** Units that were left out as they came too fast. */
  dropped = 0;

  constructor(options: TalkPacerOptions) {
    this.#options = options;
    const { codec } = options;
    this.#sampleBytes = bytesPerTick(codec);
    const usualTicks = Math.round((codec.clockRateHz * USUAL_FRAME_MS) / 1000);
    this.#frameBytes = options.frameBytes ?? usualTicks * (this.#sampleBytes ?? 0);
    this.#frameTicks = this.#sampleBytes === null ? usualTicks : this.#frameBytes / this.#sampleBytes;
    this.#silence = silenceOf(codec.codec, this.#frameBytes);
  }

  /** Time of the codec's clock that the next packet will have. */
  get ticks(): number {
    return this.#ticks;
  }
  get waitingMs(): number {
    const restTicks = this.#rest.length / (this.#sampleBytes ?? 1);
    return ((this.#waitingTicks + restTicks) * 1000) / this.#options.codec.clockRateHz;
  }

  push(unit: Pick<AccessUnit, 'data'>): void {
    if (this.#closed || unit.data.length === 0) return;
    const nowMs = performance.now();
    if (this.#empty) this.#waitedSinceMs = nowMs;
    if (this.#sampleBytes === null) {
      const ticks = packetTicks(this.#options.codec, unit.data);
      if (ticks > 0) this.#add(unit.data, ticks);
    } else this.#cut(unit.data, this.#sampleBytes);
    const { live = true } = this.#options;
    const [maxMs, keptMs] = live ? [MAX_WAITING_MS, KEPT_MS] : [MAX_RECORDING_MS, MAX_RECORDING_MS];
    if (this.waitingMs > maxMs) while (this.waitingMs > keptMs && this.#waiting.length > 1) this.#drop();
    if (this.#timer !== undefined) return;
    const firstMs = (this.#frameTicks * 1000) / this.#options.codec.clockRateHz + CUSHION_MS;
    this.#nextMs = nowMs + firstMs;
    this.#timer = setTimeout(() => this.#onTimer(), firstMs).unref();
  }

  /** Resolves when what waits has been sent, or soon. */
  async finish(): Promise<void> {
    if (this.#closed || this.#empty) return;
    this.#finishing ??= Promise.withResolvers();
    const timer = setTimeout(() => this.#finishing?.resolve(), this.waitingMs + FINISH_MS);
    await this.#finishing.promise;
    clearTimeout(timer);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#finishing?.resolve();
  }

  #cut(data: Buffer, sampleBytes: number): void {
    let bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    while (bytes.length >= this.#frameBytes) {
      this.#add(bytes.subarray(0, this.#frameBytes), this.#frameBytes / sampleBytes);
      bytes = bytes.subarray(this.#frameBytes);
    }
    this.#rest = bytes;
  }

  #add(data: Buffer, ticks: number): void {
    this.#waiting.push({ data, ticks, whole: true });
    this.#waitingTicks += ticks;
  }

  #drop(): void {
    const gone = this.#waiting.shift();
    this.#waitingTicks -= gone?.ticks ?? 0;
    this.dropped++;
  }

  #onTimer(): void {
    if (this.#closed) return;
    const nowMs = performance.now();
    if (nowMs - this.#nextMs > MAX_LATE_MS) this.#nextMs = nowMs;
    // Timers have whole milliseconds: half a one early is on time.
    while (this.#nextMs <= nowMs + 0.5) this.#nextMs += this.#frame(nowMs);
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(1, this.#nextMs - nowMs)).unref();
  }

  /** Sends the next frame, or silence. Returns its duration in ms. */
  #frame(nowMs: number): number {
    const { codec, send } = this.#options;
    const frame = this.#mayGoOn(nowMs) ? (this.#waiting.shift() ?? this.#padded()) : undefined;
    if (this.#empty) this.#finishing?.resolve();
    let ticks: number;
    if (frame === undefined) {
      this.#speaking = false;
      ticks = this.#frameTicks;
      if (this.#silence !== null) send({ data: this.#silence, ticks: this.#ticks, first: false });
    } else {
      ticks = frame.ticks;
      send({ data: frame.data, ticks: this.#ticks, first: !this.#speaking });
      this.#speaking = frame.whole;
      if (frame.whole) this.#waitingTicks -= ticks;
    }
    this.#ticks += ticks;
    return (ticks * 1000) / codec.clockRateHz;
  }

  get #empty(): boolean {
    return this.#waiting.length === 0 && this.#rest.length === 0;
  }

  /** A begin waits until there is so much that the network's unevenness does not make gaps. */
  #mayGoOn(nowMs: number): boolean {
    if (this.#empty) return false;
    if (this.#speaking || this.#finishing !== undefined) return true;
    const frameMs = ((this.#waiting[0]?.ticks ?? this.#frameTicks) * 1000) / this.#options.codec.clockRateHz;
    const needMs = frameMs + CUSHION_MS;
    return this.waitingMs >= needMs || nowMs - this.#waitedSinceMs >= needMs;
  }

  /** What is left of the sound, filled up with silence: it ends here, or comes too late. */
  #padded(): Waiting | undefined {
    const rest = this.#rest;
    if (rest.length === 0) return undefined;
    this.#rest = NOTHING;
    const data = Buffer.concat([rest, (this.#silence ?? NOTHING).subarray(rest.length)]);
    return { data, ticks: data.length / (this.#sampleBytes ?? 1), whole: false };
  }
}

/** Bytes that go with one tick of the clock; null for codecs with packets of their own. */
function bytesPerTick({ codec, channels }: TalkCodec): number | null {
  switch (codec) {
    case 'pcma':
    case 'pcmu':
      return channels;
    case 'l16':
      return 2 * channels;
    // RFC 3551 §4.5.2: a byte holds two samples of 16 kHz, and the clock counts 8000.
    case 'g722':
      return 1;
    default:
      return null;
  }
}

/** Null where no bytes mean silence. */
function silenceOf(codec: AudioCodec, bytes: number): Buffer | null {
  // ITU-T G.711 tables 1a and 2a: the smallest values.
  if (codec === 'pcma') return Buffer.alloc(bytes, 0xd5);
  if (codec === 'pcmu') return Buffer.alloc(bytes, 0xff);
  return codec === 'l16' ? Buffer.alloc(bytes) : null;
}

/** Ticks of a packet of a codec that has packets; 0 for one that can't be. */
function packetTicks({ codec, clockRateHz }: TalkCodec, data: Buffer): number {
  if (codec === 'opus') return data.length > 1 ? opusPacketSamples(data) : 0;
  // ISO/IEC 14496-3 §4.5.2.1.1: 1024 samples a frame.
  if (codec === 'aac') return 1024;
  return Math.round((clockRateHz * USUAL_FRAME_MS) / 1000);
}
