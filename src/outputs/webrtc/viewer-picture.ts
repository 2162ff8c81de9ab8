import { VideoRates } from '../../core/bitrate.ts';
import type { Consumer, ConsumerRequest } from '../../core/consumer.ts';
import type { Env } from '../../core/contracts.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import type { Codec, Track } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { type Quality, qualitiesOf } from '../../core/qualities.ts';
import type { QualityWish } from '../../core/requested-quality.ts';
import type { Stream } from '../../core/stream.ts';
import { AdaptiveQuality } from './adaptive.ts';
import type { PeerStats } from './link.ts';
import { acceptsFormat } from './sdp/choose.ts';
import type { OfferedCodec } from './sdp/offer.ts';
import type { PeerHandle, WebrtcService } from './service.ts';

/** A picture that could not be had (its camera is away, too much is being encoded) is not tried again for so long. */
const BAR_MS = 60_000;
/** Fewer packets in a second say nothing about the share that was lost. */
const LEAST_PACKETS = 20;

export type QualityEnv = Pick<Env, 'hub' | 'cameras' | 'renditions'>;

/** The picture that a viewer's connection begins with. */
export interface PictureStart {
  readonly env: QualityEnv;
  readonly service: WebrtcService;
  /** The stream that was asked for. */
  readonly named: Stream;
  /** For the consumers of the pictures that follow. */
  readonly asked: Omit<ConsumerRequest, 'wants' | 'onEnd' | 'signal'>;
  readonly quality: Quality;
  readonly picture: Consumer;
  /** What gives the sound, often the same as `picture`; null without sound. */
  readonly sound: Consumer | null;
  /** What was agreed on for the picture; the other qualities must keep to it. */
  readonly codec: Codec;
  readonly payload: OfferedCodec;
  readonly onChange: (state: QualityState) => void;
}

/** As `GET /api/webrtc?id=` and the message `quality` tell it. */
export interface QualityState {
  /** Of the picture that is sent now. */
  readonly quality: string;
  /** The connection decides. */
  readonly auto: boolean;
  /** What can be chosen. */
  readonly choices: readonly string[];
}

const measured = new VideoRates();

/** Which of the camera's pictures a viewer gets, and how it comes to another one without negotiating anew. */
export class ViewerPicture {
  readonly #start: PictureStart;
  readonly #peer: PeerHandle;
  readonly #gone = new AbortController();
  #quality: Quality;
  #picture: Consumer;
  #auto: { readonly levels: readonly Quality[]; readonly decision: AdaptiveQuality } | null = null;
  /** Changes come one after the other; only the one that was asked for last is carried out. */
  #tail: Promise<void> = Promise.resolve();
  #turn = 0;
  #changing = false;
  #before: PeerStats | undefined;

  constructor(start: PictureStart, peer: PeerHandle) {
    this.#start = start;
    this.#peer = peer;
    this.#quality = start.quality;
    this.#picture = start.picture;
  }

  get state(): QualityState {
    return { quality: this.#quality.name, auto: this.#auto !== null, choices: this.#choices().map(({ name }) => name) };
  }

  /**
   * Changes to another quality, or lets the connection decide from now on.
   * @throws HearthcamError when it can't be had or has another codec than was agreed on; all stays as it was then
   */
  async choose(wish: QualityWish): Promise<void> {
    if (wish !== 'auto') {
      await this.#show(wish, false);
      this.#auto = null;
      this.#tell();
      return;
    }
    const levels = this.#levels();
    const [best] = levels;
    if (best === undefined) return;
    if (!levels.some((one) => one.name === this.#quality.name)) await this.#show(best, false);
    const level = levels.findIndex((one) => one.name === this.#quality.name);
    this.#auto = { levels, decision: new AdaptiveQuality(Math.max(0, level), this.#start.service.adaptive) };
    this.#tell();
  }

  /** Once a second. */
  onStats(stats: PeerStats): void {
    const before = this.#before;
    this.#before = stats;
    const since = (name: 'bytes' | 'units' | 'dropped' | 'packets' | 'resent'): number =>
      stats[name] - (before?.[name] ?? 0);
    const consumer = this.#picture;
    consumer.bytesSent += since('bytes');
    consumer.unitsSent += since('units');
    consumer.unitsDropped += since('dropped');
    consumer.details = {
      packets: stats.packets,
      resent: stats.resent,
      loss_percent: Math.round(stats.loss * 1000) / 10,
      ...(stats.rttMs < 0 ? {} : { rtt_ms: stats.rttMs }),
      ...(stats.estimateBps === 0 ? {} : { estimate_bps: Math.round(stats.estimateBps) }),
      quality: this.#auto === null ? this.#quality.name : `auto (${this.#quality.name})`,
    };
    const packets = since('packets');
    const resent = packets < LEAST_PACKETS ? 0 : Math.min(1, since('resent') / packets);
    if (this.#auto !== null && !this.#changing) this.#decide(stats, resent);
  }

  close(): void {
    this.#gone.abort(new HearthcamError('webrtc.left', 'the viewer has left', { status: 410 }));
    this.#picture.close();
    this.#start.sound?.close();
  }

  #decide({ loss, rttMs, estimateBps }: PeerStats, resent: number): void {
    if (this.#auto === null) return;
    const { levels, decision } = this.#auto;
    const { service, named } = this.#start;
    const atMs = performance.now();
    const had = decision.level;
    const rates = levels.map((one, level) =>
      level === had ? measured.of(this.#picture.stream, atMs) : measured.ofQuality(one, atMs),
    );
    const verdict = decision.report({ atMs, loss, resent, rttMs, estimateBps }, rates);
    const next = verdict === null ? undefined : levels[verdict.level];
    if (verdict === null || next === undefined) return;
    const who = `viewer of "${named.name}" (${this.#picture.remoteAddr})`;
    service.log.debug(`${who}: from ${this.#quality.name} to ${next.name}, as ${verdict.why}`);
    // A larger picture begins with its next key frame: the last one and all that followed would come as one burst.
    this.#show(next, verdict.level < had).catch((error: unknown) => {
      if (this.#auto?.decision !== decision || this.#gone.signal.aborted) return;
      service.log.debug(`${who}: ${next.name} can't be had: ${describeError(error)}`);
      decision.failed(had, performance.now(), error === MISFIT ? Number.POSITIVE_INFINITY : BAR_MS);
    });
  }

  /** The pictures that the connection may choose from: the one that was named, and smaller ones. */
  #levels(): readonly Quality[] {
    const all = this.#choices();
    const from = all.findIndex((one) => one.stream === this.#start.named && one.picture === undefined);
    return all.slice(Math.max(0, from));
  }

  #choices(): readonly Quality[] {
    return qualitiesOf(this.#start.env, this.#start.named.name).filter(
      ({ stream, picture }) => picture !== undefined || this.#fits(stream.tracks.find((one) => one.kind === 'video')),
    );
  }

  /** Whether the viewer's decoder can go on with it; what is not known yet is tried. */
  #fits(track: Track | undefined): boolean {
    if (track === undefined) return true;
    return track.codec === this.#start.codec && acceptsFormat(this.#start.payload, track.format);
  }

  #show(quality: Quality, live: boolean): Promise<void> {
    const turn = ++this.#turn;
    const before = this.#tail;
    const work = async (): Promise<void> => {
      await before.catch(() => {
        // Told to whoever asked for that one.
      });
      this.#gone.signal.throwIfAborted();
      if (turn !== this.#turn) {
        throw new HearthcamError('webrtc.replaced', 'another quality was asked for meanwhile', { status: 409 });
      }
      this.#changing = true;
      try {
        await this.#change(quality, live);
      } finally {
        this.#changing = false;
      }
    };
    this.#tail = work();
    return this.#tail;
  }

  async #change(quality: Quality, live: boolean): Promise<void> {
    if (quality.name === this.#quality.name) return;
    const { service, sound } = this.#start;
    const consumer = this.#held(quality) ?? (await this.#open(quality));
    try {
      const track = consumer.tracks.find((one) => one.kind === 'video');
      if (track === undefined || !this.#fits(track)) throw MISFIT;
      service.refuseReordering(consumer.stream);
      await this.#peer.show(consumer.stream, track.id, live);
    } catch (error) {
      if (consumer !== sound) consumer.close();
      throw error;
    }
    const old = this.#picture;
    this.#picture = consumer;
    this.#quality = quality;
    consumer.remoteAddr = old.remoteAddr;
    if (old !== sound) old.close();
    if (this.#gone.signal.aborted) consumer.close();
    else this.#tell();
  }

  /** The one that gives the sound has this picture, too. */
  #held({ name }: Quality): Consumer | undefined {
    const { sound, picture, quality } = this.#start;
    return sound === picture && name === quality.name ? picture : undefined;
  }

  async #open(quality: Quality): Promise<Consumer> {
    const { asked, codec, sound } = this.#start;
    const want: MediaWant = { kind: 'video', codecs: [codec], inOrder: true };
    const consumer: Consumer = await quality.stream.open({
      ...asked,
      wants: [want],
      need: 'all',
      ...(quality.picture === undefined ? {} : { picture: quality.picture }),
      signal: this.#gone.signal,
      onEnd: () => {
        if (this.#picture !== consumer) return;
        // Its stream was taken away: back to the one that the sound comes from, if that has a picture.
        if (sound === null || sound !== this.#start.picture) this.#peer.close();
        else this.#show(this.#start.quality, false).catch(() => this.#peer.close());
      },
    });
    return consumer;
  }

  #tell(): void {
    if (!this.#gone.signal.aborted) this.#start.onChange(this.state);
  }
}

const MISFIT = new HearthcamError('webrtc.quality', 'this quality has another codec than the one that is playing', {
  status: 409,
  hint: 'let the viewer connect anew with it',
});
