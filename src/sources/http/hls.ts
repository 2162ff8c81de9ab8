import { setTimeout as sleep } from 'node:timers/promises';
import { kindByBytes } from '../../core/containers/detect.ts';
import type { Input, Problems } from '../../core/containers/input.ts';
import { Mp4Input } from '../../core/containers/mp4.ts';
import { TsInput } from '../../core/containers/mpegts.ts';
import { PacedSink } from '../../core/containers/pace.ts';
import { type About, TrackSet } from '../../core/containers/track-set.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { SourceSink } from '../../core/source.ts';
import { parsePlaylist } from '../../wire/m3u8/parse.ts';
import type { ByteRange, MasterPlaylist, MediaMap, MediaPlaylist, MediaSegment } from '../../wire/m3u8/playlist.ts';
import { unknownKind } from './answer.ts';
import { type HttpClient, readBody } from './fetch.ts';

export interface HlsOptions {
  readonly client: HttpClient;
  /** What the address gave: a master or a media playlist. */
  readonly playlist: { readonly url: URL; readonly text: string };
  readonly sink: SourceSink;
  readonly about: Omit<About, 'formatName'>;
  readonly problems: Problems;
  readonly signal: AbortSignal;
  /** Longest pause within one transfer. */
  readonly timeoutMs: number;
}

/** A live stream begins so many segments before the newest: as close as is safe, one in reserve. */
const START_BEHIND = 2;
const MAX_INIT_BYTES = 4 * 1024 * 1024;
/** Reloads come at least so often, so that the stall watch hears from us whatever the length of the segments. */
const MAX_RELOAD_MS = 2_000;
const MIN_RELOAD_MS = 250;
const MIN_STALE_MS = 15_000;
const MAX_FAILURES = 3;

/** Plays HTTP Live Streaming (RFC 8216) until the list ends or goes stale. Low-latency parts are not used. */
export async function playHls(options: HlsOptions): Promise<void> {
  using player = new HlsPlayer(options);
  await player.run();
}

class HlsPlayer implements Disposable {
  readonly #options: HlsOptions;
  readonly #paced: PacedSink;
  #input: (Input & { restart?: () => void }) | undefined;
  #tracks: TrackSet | undefined;
  #mapKey = '';
  #nextSequence: number | undefined;
  #failures = 0;

  constructor(options: HlsOptions) {
    this.#options = options;
    this.#paced = new PacedSink(options.sink, () => performance.now());
  }

  [Symbol.dispose](): void {
    this.#paced[Symbol.dispose]();
  }

  async run(): Promise<void> {
    const { client, signal, sink } = this.#options;
    let { url, text } = this.#options.playlist;
    let playlist = parsePlaylist(text);
    if (playlist.kind === 'master') {
      url = resolve(this.#choose(playlist), url);
      ({ url, text } = await this.#load(url));
      playlist = parsePlaylist(text);
    }
    let freshMs = performance.now();
    for (;;) {
      if (playlist.kind !== 'media')
        throw new HearthcamError('hls.nested', 'a master playlist within another', { status: 502 });
      const loadedMs = performance.now();
      const played = await this.#playNew(playlist, url);
      if (playlist.ended) break;
      if (played) freshMs = performance.now();
      const staleMs = performance.now() - freshMs;
      if (staleMs > Math.max(MIN_STALE_MS, 3 * playlist.targetDurationMs)) {
        throw new HearthcamError('hls.stale', `the playlist has nothing new for ${Math.round(staleMs / 1000)} s`, {
          status: 504,
        });
      }
      // §6.3.4: reload after a target duration when it changed, after half of it when it did not.
      const pauseMs = Math.min(MAX_RELOAD_MS, played ? playlist.targetDurationMs : playlist.targetDurationMs / 2);
      await sleep(Math.max(MIN_RELOAD_MS, loadedMs + pauseMs - performance.now()), undefined, { signal });
      const { body } = await client.getAll(url, signal);
      sink.alive(body.length);
      playlist = parsePlaylist(body.toString('utf8'));
    }
    await this.#paced.drained();
  }

  async #load(url: URL): Promise<{ url: URL; text: string }> {
    const { client, signal, sink } = this.#options;
    const { body, answer } = await client.getAll(url, signal);
    sink.alive(body.length);
    return { url: answer.url, text: body.toString('utf8') };
  }

  /** The best picture of what we carry. */
  #choose(master: MasterPlaylist): string {
    const carried = master.variants.filter((variant) => {
      const video = variant.codecs.filter((codec) => !/^(mp4a|opus|ac-3|ec-3|flac|stpp|wvtt)/i.test(codec));
      return video.every((codec) => /^(avc1|avc3|hvc1|hev1)/i.test(codec));
    });
    const ranked = (carried.length > 0 ? carried : [...master.variants]).sort(
      (one, other) =>
        (other.width ?? 0) * (other.height ?? 0) - (one.width ?? 0) * (one.height ?? 0) ||
        other.bandwidth - one.bandwidth,
    );
    const best = ranked[0];
    if (best === undefined) throw new HearthcamError('hls.empty', 'the master playlist lists nothing', { status: 502 });
    const apart = master.renditions.some(
      (one) => one.type === 'AUDIO' && one.groupId === best.audioGroup && one.uri !== undefined,
    );
    if (apart) {
      this.#options.problems.report({
        code: 'hls.audio',
        message: 'HLS with its audio in a list of its own: played without sound',
      });
    }
    return best.uri;
  }

  /** @returns whether there was a new segment. */
  async #playNew(playlist: MediaPlaylist, url: URL): Promise<boolean> {
    const whole = playlist.segments.filter((segment) => segment.uri !== '');
    const from = this.#position(whole, playlist.ended);
    let played = false;
    for (const segment of whole) {
      if (segment.sequence < from) continue;
      this.#nextSequence = segment.sequence + 1;
      if (segment.gap) continue;
      played = true;
      await this.#try(segment, url);
    }
    return played;
  }

  #position(segments: readonly MediaSegment[], ended: boolean): number {
    const first = segments[0]?.sequence ?? 0;
    const last = segments.at(-1)?.sequence ?? -1;
    const start = ended ? first : Math.max(first, last - START_BEHIND + 1);
    const next = this.#nextSequence;
    if (next === undefined) return start;
    if (next >= first && next <= last + 1) return next;
    // Behind the window (we were too slow), or the server began to count anew.
    if (segments.length === 0) return next;
    this.#options.problems.report({
      code: 'hls.position',
      message: `HLS goes on at segment ${start} instead of ${next}`,
    });
    this.#input?.restart?.();
    return start;
  }

  /** A segment that can't be had (it expired meanwhile) is left out; several in a row end the connection. */
  async #try(segment: MediaSegment, base: URL): Promise<void> {
    try {
      await this.#segment(segment, base);
      this.#failures = 0;
    } catch (error) {
      const { signal, problems } = this.#options;
      if (signal.aborted || !(error instanceof HearthcamError) || ++this.#failures >= MAX_FAILURES) throw error;
      if (!error.code.startsWith('http.')) throw error;
      problems.report({ code: 'hls.segment', message: `an HLS segment is left out: ${error.message}` });
      this.#input?.restart?.();
    }
  }

  async #segment(segment: MediaSegment, base: URL): Promise<void> {
    const { client, signal, sink, timeoutMs } = this.#options;
    if (segment.key !== undefined) {
      throw new HearthcamError('hls.encrypted', `the HLS stream is encrypted (${segment.key.method})`, { status: 502 });
    }
    if (segment.map !== undefined) await this.#initialise(segment.map, base, segment.discontinuity);
    const url = resolve(segment.uri, base);
    const { response, contentType } = await client.get(url, signal, rangeHeader(segment.byteRange));
    let head: Buffer | undefined = Buffer.alloc(0);
    await readBody(response, signal, timeoutMs, (chunk) => {
      sink.alive(chunk.length);
      let bytes = chunk;
      if (this.#input === undefined) {
        head = Buffer.concat([head ?? Buffer.alloc(0), chunk]);
        if (!this.#open(head, contentType)) return undefined;
        bytes = head;
        head = undefined;
      }
      this.#push(bytes);
      return this.#paced.room();
    });
    this.#input?.end();
    this.#paced.flush();
  }

  async #initialise(map: MediaMap, base: URL, discontinuity: boolean): Promise<void> {
    const url = resolve(map.uri, base);
    const key = `${url.href} ${map.byteRange?.bytes ?? ''}@${map.byteRange?.offset ?? ''}`;
    if (key === this.#mapKey && !discontinuity) return;
    const { client, signal, sink, timeoutMs } = this.#options;
    const { response } = await client.get(url, signal, rangeHeader(map.byteRange));
    const chunks: Buffer[] = [];
    let bytes = 0;
    await readBody(response, signal, timeoutMs, (chunk) => {
      sink.alive(chunk.length);
      bytes += chunk.length;
      if (bytes > MAX_INIT_BYTES)
        throw new HearthcamError('hls.init', 'the HLS initialization is too large', { status: 502 });
      chunks.push(chunk);
    });
    this.#mapKey = key;
    const init = Buffer.concat(chunks, bytes);
    if (this.#input === undefined) this.#open(init, 'video/mp4');
    else this.#input.restart?.();
    this.#push(init);
  }

  /** Chooses the container by the first bytes. @returns false while more are needed. */
  #open(head: Buffer, contentType: string): boolean {
    const kind = kindByBytes(head, false);
    if (kind === undefined) return false;
    if (kind !== 'mpegts' && kind !== 'mp4') throw unknownKind(contentType, head);
    const { about, problems } = this.#options;
    const formatName = kind === 'mp4' ? 'hls/fmp4' : 'hls/mpegts';
    this.#tracks = new TrackSet(this.#paced, { ...about, formatName });
    this.#input = kind === 'mp4' ? new Mp4Input(this.#tracks, problems) : new TsInput(this.#tracks, problems);
    return true;
  }

  #push(bytes: Buffer): void {
    this.#input?.push(bytes);
    this.#tracks?.settle(performance.now());
    this.#paced.flush();
  }
}

function resolve(uri: string, base: URL): URL {
  const url = URL.canParse(uri, base.href) ? new URL(uri, base) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new HearthcamError('hls.uri', 'the playlist names an address that is not http or https', { status: 502 });
  }
  return url;
}

function rangeHeader(range: ByteRange | undefined): Record<string, string> {
  if (range === undefined) return {};
  const offset = range.offset ?? 0;
  return { range: `bytes=${offset}-${offset + range.bytes - 1}` };
}
