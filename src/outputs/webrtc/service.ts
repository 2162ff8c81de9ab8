import { describeError, HearthcamError, WireError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { TrackFormat } from '../../core/media.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { ADAPTIVE_TIMING, type AdaptiveTiming } from './adaptive.ts';
import { CandidatePolicy } from './candidates.ts';
import { configuredIceServers, parseListen, usesRelay, type WebrtcConfig } from './config.ts';
import { hasReordering, reorderingError } from './feed.ts';
import { type FeedHold, Feeds } from './feeds.ts';
import type { IceServer, PeerRequest, UpMessage } from './link.ts';
import { NO_TRACK } from './link.ts';
import { shiftBetween } from './lip-sync.ts';
import type { LocalTransport } from './sdp/answer.ts';
import { formatCandidate, isUsable, makeCandidate, parseCandidate } from './sdp/candidate.ts';
import { type ProcessLink, Supervisor } from './supervisor.ts';

/** More viewers than this are refused; a home has some dozens at most. */
const MAX_PEERS = 200;
/** More than a process that is stuck gets (see `Supervisor`): one that only has to wait for the processor answers. */
const ANSWER_MS = 10_000;
/** How long a POST waits for STUN and TURN servers. */
const GATHER_MS = 2_000;
/** How long a change of the picture may wait for a key frame: cameras send one every 10 s at the least. */
const SHOW_MS = 15_000;
const MAX_EARLY_CANDIDATES = 64;

/** An offer, and who made it. */
export interface OfferRequest {
  /** The one that is watched, or published to. */
  readonly stream: Stream;
  readonly sdp: string;
  readonly protocol: string;
  readonly remoteAddr: string;
  readonly userAgent: string | undefined;
  /** The other side is on this machine. */
  readonly local: boolean;
  readonly iceServers: readonly IceServer[];
  /** Came before the offer. */
  readonly candidates: readonly string[];
  /** Candidates of ours that become known after the answer. */
  readonly onCandidate?: (candidate: string) => void;
}

export interface PeerListener {
  onConnected?(remote: string): void;
  /** Once, and last. */
  onClosed(reason: string): void;
  onCandidate?(candidate: string): void;
  onRtp?(media: number, packet: Buffer): void;
  /** A publisher's sender report. */
  onSync?(media: number, timestamp: number, ntpMs: number): void;
  onStats?(stats: Extract<UpMessage, { type: 'stats' }>['peers'][number]): void;
}

/** A connection in the WebRTC process, as the server sees it. */
export interface PeerHandle {
  readonly id: number;
  readonly local: LocalTransport;
  /** Our candidates that are known by now, filtered, and the configured ones. */
  readonly candidates: readonly string[];
  /** No further ones will come. */
  readonly complete: boolean;
  addCandidate(line: string): void;
  /** Asks the publisher for a key frame. */
  wantKeyframe(): void;
  /**
   * Sends the picture of another track of the same codec in place of the one so far, which goes on until then.
   * @param live from its next key frame on; else from its last one
   * @throws HearthcamError 503 when no key frame comes in time; the picture stays as it was then. 409 while another
   *   change is under way
   */
  show(stream: Stream, trackId: number, live: boolean): Promise<void>;
  /** Resolves when all candidates are known, or after a while. */
  gathered(): Promise<readonly string[]>;
  close(): void;
}

interface Entry {
  readonly link: ProcessLink;
  /** UDP port that all peers share. */
  readonly port: number;
  sound: FeedHold | undefined;
  picture: FeedHold | undefined;
  /** By how many ticks of 90 kHz the picture's times lie later on the viewer's time line. */
  shift: number;
  /** A change of the picture that is under way. */
  showing: { readonly hold: FeedHold; readonly done: PromiseWithResolvers<void> } | undefined;
  readonly listener: PeerListener;
  readonly release: () => void;
  readonly answer: PromiseWithResolvers<Extract<UpMessage, { type: 'answer' }>>;
  readonly gathered: PromiseWithResolvers<void>;
  readonly candidates: string[];
  /** The answer is on its way: candidates that come from now on have to be told by themselves. */
  answered: boolean;
}

export interface WebrtcServiceOptions {
  /** The process ends when nobody has needed it for so long. */
  readonly idleMs?: number;
  readonly adaptive?: AdaptiveTiming;
}

/** The server's side of the WebRTC process: peers by number, and one feed per stream. */
export class WebrtcService {
  readonly log: Log;
  readonly policy: CandidatePolicy;
  readonly supervisor: Supervisor;
  /** How viewers' pictures follow their connections. */
  readonly adaptive: AdaptiveTiming;
  readonly #iceServers: readonly IceServer[];
  readonly #loopback: boolean;
  readonly #bindAddress: string;
  /** Relays are in use, and each peer has a port of its own. */
  readonly #relays: boolean;
  readonly #peers = new Map<number, Entry>();
  readonly #feeds: Feeds;
  readonly #reordering = new WeakSet<TrackFormat>();
  #lastId = 0;

  constructor(config: WebrtcConfig, log: Log, scope: Scope, options: WebrtcServiceOptions = {}) {
    this.log = log;
    this.adaptive = options.adaptive ?? ADAPTIVE_TIMING;
    this.#feeds = new Feeds(log, (stream, format) => this.#onReordering(stream, format));
    const listen = parseListen(config.listen);
    if (listen === null) {
      throw new HearthcamError('webrtc.listen', `webrtc.listen: "${config.listen}" is no address`, {
        hint: 'write it like ":8555" or "127.0.0.1:8555"',
      });
    }
    this.policy = new CandidatePolicy(config);
    this.#iceServers = configuredIceServers(config);
    this.#loopback = config.filters?.loopback === true;
    this.#bindAddress = listen.bindAddress;
    this.#relays = usesRelay(config);
    this.supervisor = new Supervisor(
      {
        log,
        scope,
        config: {
          port: this.#relays ? 0 : listen.port,
          bindAddress: listen.bindAddress,
          ownPorts: this.#relays,
        },
        onDeath: (reason) => this.#onDeath(reason),
        ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
      },
      (message) => this.#onMessage(message),
    );
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  /** Starts the process if it doesn't run: somebody is about to need it. */
  warmUp(): void {
    this.supervisor.acquire().then(
      ({ release }) => release(),
      // Whoever needs it next gets the reason.
      () => {},
    );
  }

  /**
   * Makes a connection in the WebRTC process.
   * @param iceServers TURN servers besides the configured ones, used only together with such
   * @param local the other side is on this machine
   * @param stream whose tracks are sent; null for a publisher
   * @throws HearthcamError 503 when there are too many or the process can't be started, 500 when it refuses
   */
  async connect(
    request: Omit<PeerRequest, 'peer' | 'feed' | 'iceServers' | 'candidates'>,
    options: {
      readonly candidates: readonly string[];
      readonly iceServers: readonly IceServer[];
      readonly local: boolean;
      readonly stream: Stream | null;
    },
    listener: PeerListener,
  ): Promise<PeerHandle> {
    if (this.#peers.size >= MAX_PEERS) {
      throw new HearthcamError('webrtc.full', `there are ${MAX_PEERS} WebRTC viewers already`, { status: 503 });
    }
    const { link, port, release } = await this.supervisor.acquire();
    const id = ++this.#lastId;
    const { sound, picture } = this.#hold(link, options.stream, request.media);
    const entry: Entry = {
      link,
      port,
      sound,
      picture,
      shift: 0,
      showing: undefined,
      listener,
      release,
      answer: Promise.withResolvers(),
      gathered: Promise.withResolvers(),
      candidates: [],
      answered: false,
    };
    entry.answer.promise.catch(() => {});
    this.#peers.set(id, entry);
    link.send({
      type: 'peer',
      request: {
        ...request,
        peer: id,
        feed: (sound ?? picture)?.feed.id ?? 0,
        candidates: usable(options.candidates),
        iceServers: [...this.#iceServers, ...(this.#relays ? options.iceServers : [])].slice(0, 10),
      },
    });
    const timer = setTimeout(() => {
      entry.answer.reject(new HearthcamError('webrtc.timeout', 'the WebRTC process did not answer', { status: 503 }));
    }, ANSWER_MS);
    try {
      // Loopback binding has its own candidate already; otherwise 127.0.0.1 is told to viewers on this machine.
      const loopback = this.#bindAddress === '' && (this.#loopback || options.local);
      const [answer, extra] = this.#relays
        ? await withOwnPort(entry.answer.promise, (own) => this.policy.extra(own, loopback))
        : await Promise.all([entry.answer.promise, this.policy.extra(port, loopback)]);
      // Some may have come as events already.
      const lines = new Set([...this.policy.filter(answer.candidates), ...extra, ...entry.candidates]);
      entry.candidates.splice(0, entry.candidates.length, ...lines);
      entry.answered = true;
      if (answer.complete) entry.gathered.resolve();
      return this.#handle(id, entry, answer);
    } catch (error) {
      this.#drop(id, entry);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #handle(id: number, entry: Entry, answer: Extract<UpMessage, { type: 'answer' }>): PeerHandle {
    return {
      id,
      local: answer.local,
      candidates: [...entry.candidates],
      complete: answer.complete,
      addCandidate: (line) => {
        for (const candidate of usable([line])) entry.link.send({ type: 'candidate', peer: id, candidate });
      },
      wantKeyframe: () => entry.link.send({ type: 'keyframe', peer: id }),
      show: (stream, trackId, live) => this.#show(id, entry, stream, trackId, live),
      gathered: async () => {
        await Promise.race([
          entry.gathered.promise,
          new Promise<void>((resolve) => {
            setTimeout(resolve, GATHER_MS).unref();
          }),
        ]);
        return [...entry.candidates];
      },
      close: () => {
        if (this.#drop(id, entry)) entry.listener.onClosed('closed');
      },
    };
  }

  /**
   * Forgets a peer and tells the process. Returns whether it was there.
   * @param reason for whoever waits for its answer: none comes any more
   */
  #drop(id: number, entry: Entry, reason?: HearthcamError): boolean {
    if (this.#peers.get(id) !== entry) return false;
    this.#peers.delete(id);
    if (reason !== undefined) entry.answer.reject(reason);
    entry.link.send({ type: 'close', peer: id });
    entry.gathered.resolve();
    entry.showing?.done.reject(new HearthcamError('webrtc.left', 'the viewer has left', { status: 410 }));
    entry.sound?.[Symbol.dispose]();
    entry.picture?.[Symbol.dispose]();
    entry.release();
    return true;
  }

  #hold(
    link: ProcessLink,
    stream: Stream | null,
    media: PeerRequest['media'],
  ): { sound: FeedHold | undefined; picture: FeedHold | undefined } {
    const of = (kind: 'video' | 'audio'): FeedHold | undefined => {
      const sent = media.filter((one) => one.direction === 'send' && one.kind === kind && one.trackId !== NO_TRACK);
      const trackIds = sent.map((one) => one.trackId);
      return stream === null || trackIds.length === 0 ? undefined : this.#feeds.hold(link, stream, trackIds);
    };
    return { sound: of('audio'), picture: of('video') };
  }

  async #show(id: number, entry: Entry, stream: Stream, trackId: number, live: boolean): Promise<void> {
    const { link } = entry;
    const same = entry.picture?.stream === stream && entry.picture.trackIds.includes(trackId);
    if (this.#peers.get(id) !== entry || same) return;
    if (entry.showing !== undefined) {
      throw new HearthcamError('webrtc.changing', 'another picture is being changed to', { status: 409 });
    }
    const hold = this.#feeds.hold(link, stream, [trackId]);
    const done = Promise.withResolvers<void>();
    done.promise.catch(() => {});
    entry.showing = { hold, done };
    const timer = setTimeout(() => {
      const text = `"${stream.name}" gave no key frame within ${SHOW_MS / 1000} s`;
      done.reject(new HearthcamError('webrtc.keyframe', text, { status: 503 }));
    }, SHOW_MS);
    try {
      const shift = await Promise.race([shiftBetween(entry, hold), done.promise]);
      if (typeof shift === 'number') {
        link.send({ type: 'show', peer: id, feed: hold.feed.id, track: trackId, shift, live });
        await done.promise;
        entry.picture?.[Symbol.dispose]();
        entry.picture = hold;
        entry.shift = shift;
      }
    } catch (error) {
      const [before] = entry.picture?.trackIds ?? [];
      if (entry.picture !== undefined && before !== undefined) {
        // Whether it was begun or not, this puts it back.
        const feed = entry.picture.feed.id;
        link.send({ type: 'show', peer: id, feed, track: before, shift: entry.shift, live: false });
      }
      hold[Symbol.dispose]();
      throw error;
    } finally {
      clearTimeout(timer);
      entry.showing = undefined;
    }
    // It left at the moment at which it began.
    if (this.#peers.get(id) !== entry) hold[Symbol.dispose]();
  }

  #onMessage(message: UpMessage): void {
    if (message.type === 'stats') {
      for (const stats of message.peers) this.#peers.get(stats.peer)?.listener.onStats?.(stats);
      return;
    }
    if (!('peer' in message)) return;
    const entry = this.#peers.get(message.peer);
    if (entry === undefined) return;
    switch (message.type) {
      case 'answer':
        entry.answer.resolve(message);
        return;
      case 'failed':
        entry.answer.reject(refused(message.reason));
        return;
      case 'candidate':
        this.#onCandidate(entry, message.candidate);
        return;
      case 'gathered':
        entry.gathered.resolve();
        return;
      case 'connected':
        entry.listener.onConnected?.(message.remote);
        return;
      case 'shown':
        if (entry.showing?.hold.feed.id === message.feed && entry.showing.hold.trackIds.includes(message.track)) {
          entry.showing.done.resolve();
        }
        return;
      case 'rtp':
        entry.listener.onRtp?.(message.media, message.packet);
        return;
      case 'sync':
        entry.listener.onSync?.(message.media, message.timestamp, message.ntpMs);
        return;
      case 'closed':
        if (this.#drop(message.peer, entry, refused(message.reason))) entry.listener.onClosed(message.reason);
        return;
    }
  }

  /** Candidates that came late: those of STUN and TURN servers. */
  #onCandidate(entry: Entry, line: string): void {
    const candidate = parseCandidate(line);
    if (candidate === null) return;
    const lines = this.policy.filter([line]);
    if (candidate.type === 'srflx') {
      this.policy.stunPorts(entry.port).forEach((port, index) => {
        lines.push(formatCandidate(makeCandidate(candidate.address, port, 'srflx', 3_000 + index)));
      });
    }
    for (const one of lines) {
      // Host candidates are in the answer already.
      if (entry.candidates.includes(one) || entry.candidates.length >= MAX_EARLY_CANDIDATES) continue;
      entry.candidates.push(one);
      if (entry.answered) entry.listener.onCandidate?.(one);
    }
  }

  /** Found out only now, as the stream had just begun when its viewers came. */
  #onReordering(stream: Stream, format: TrackFormat): void {
    if (this.#reordering.has(format)) return;
    this.#reordering.add(format);
    const error = reorderingError(stream.name);
    this.log.warn(`${describeError(error)}; its WebRTC viewers are closed`);
    // Not within the hand-over of the picture that showed it.
    queueMicrotask(() => {
      for (const [id, entry] of [...this.#peers]) {
        if (entry.picture?.stream === stream && this.#drop(id, entry, error)) entry.listener.onClosed(error.message);
      }
    });
  }

  /** @throws HearthcamError when the stream is known to have pictures out of order */
  refuseReordering(stream: Stream): void {
    const known = stream.tracks.some(
      ({ format }) => format?.kind === 'video' && (format.reorderDepth > 0 || this.#reordering.has(format)),
    );
    if (known || hasReordering(stream)) throw reorderingError(stream.name);
  }

  #onDeath(reason: HearthcamError): void {
    const lost = [...this.#peers].filter(([, entry]) => entry.link.over);
    this.log.error(`${describeError(reason)}; ${lost.length} of its viewers have to connect again`);
    for (const [id, entry] of lost) {
      entry.answer.reject(new HearthcamError('webrtc.process', describeError(reason), { status: 503 }));
      if (this.#drop(id, entry)) entry.listener.onClosed('the WebRTC process died');
    }
    this.#feeds.forget();
  }
}

/** Further candidates of a peer that has a port of its own: it is that of the host candidates in its answer. */
async function withOwnPort(
  answering: Entry['answer']['promise'],
  extra: (port: number) => Promise<string[]>,
): Promise<[Awaited<Entry['answer']['promise']>, string[]]> {
  const answer = await answering;
  const port = answer.candidates.flatMap((line) => parseCandidate(line) ?? []).find((one) => one.type === 'host')?.port;
  return [answer, port === undefined ? [] : await extra(port)];
}

function refused(reason: string): HearthcamError {
  return new HearthcamError('webrtc.refused', `the connection could not be made: ${reason}`, { status: 500 });
}

function usable(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const candidate = parseCandidate(line);
    return candidate !== null && isUsable(candidate) ? [line.trim().replace(/^a=/, '')] : [];
  });
}

/** Errors of the offer's parser are the client's; go2rtc answers 500 for them (compatibility.md 1.6). */
export function asOfferError(error: unknown): unknown {
  if (!(error instanceof WireError)) return error;
  return new HearthcamError(error.code, error.message, { status: 500, cause: error });
}
