import { HearthcamError } from './errors.ts';
import type { Log } from './log.ts';
import type { AccessUnit, AudioCodec, Codec, MediaKind, TrackFormat } from './media.ts';
import type { Target } from './targets.ts';

/** A source as the owner wrote it, taken apart: `rtsp://u:p@host/path#timeout=5#media=video`. */
export interface SourceSpec {
  /** Exactly as configured; what `/api/streams` shows (with secrets masked) and what PUT is compared with. */
  readonly text: string;
  /** Lower case, before the first `:`; empty when the text is the name of another stream. */
  readonly scheme: string;
  /** The text before the first `#`. */
  readonly url: string;
  /** `#key=value` parts; a part without `=` has the value ''. A key may occur several times. */
  readonly params: ReadonlyMap<string, readonly string[]>;
}

/**
 * Takes a source apart at its `#`; never fails. A parameter may occur several times; one without `=` has the value
 * ''.
 */
export function parseSourceSpec(text: string): SourceSpec {
  const [url = '', ...parts] = text.split('#');
  const params = new Map<string, string[]>();
  for (const part of parts) {
    const at = part.indexOf('=');
    const key = at < 0 ? part : part.slice(0, at);
    const value = at < 0 ? '' : part.slice(at + 1);
    const values = params.get(key);
    if (values === undefined) params.set(key, [value]);
    else values.push(value);
  }
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? '';
  return { text, scheme, url, params };
}

/** A track that a source has found, before its first unit. */
export interface SourceTrack {
  readonly kind: MediaKind;
  readonly codec: Codec;
  readonly clockRateHz: number;
  /** Null when it becomes known only with the first unit. */
  readonly format: TrackFormat | null;
}

export interface SourceDescription {
  readonly tracks: readonly SourceTrack[];
  /** `rtsp`, `flv`, `mpegts`, `mp4`, `hls`, `mjpeg`, `webrtc`, … (compatibility.md 1.2 `format_name`). */
  readonly formatName: string;
  /** `rtsp+tcp`, `rtsp+udp`, `http`, … */
  readonly protocol: string;
  /** Peer as `address:port`. */
  readonly remoteAddr: string;
  readonly sdp?: string;
  readonly userAgent?: string;
  /**
   * True when the times of all tracks are on one clock already (FLV, MPEG-TS, MP4); false when each has an origin of
   * its own that only `sync` relates (RTP).
   */
  readonly sharedClock: boolean;
}

/** One access unit as the source sees it. */
export interface SourceUnit {
  /** Index into `SourceDescription.tracks`. */
  readonly track: number;
  readonly format: TrackFormat;
  /** Presentation time in ticks of the track's clock, unwrapped: it does not jump back at 2^32. */
  readonly ticks: number;
  /** Decoding time on the same clock where the container has it; worked out from the order where absent. */
  readonly decodeTicks?: number;
  readonly key: boolean;
  /** As `AccessUnit.data`. The source gives it away: it must not write to these bytes any more. */
  readonly data: Buffer;
}

/** Where a running source puts what it receives. All calls are synchronous and cheap. */
export interface SourceSink {
  /**
   * Says what there is; before the first unit, and again when tracks change. Returns for each track whether somebody
   * takes it: one that is not taken (another source gives that kind already) need not be set up.
   */
  describe(description: SourceDescription): readonly boolean[];
  unit(unit: SourceUnit): void;
  /** Called after each read of the source: what it completed is handed to the viewers as one burst. */
  flush(): void;
  /** Something arrived (any packet): the source is not stalled. `bytes` counts what was read from the network. */
  alive(bytes: number): void;
  /** From a sender report (RFC 3550 §6.4.1): at `ticks` of the track's clock it was `ntpMs` UTC at the camera. */
  sync(track: number, ticks: number, ntpMs: number): void;
}

export interface SourceRequest {
  readonly spec: SourceSpec;
  readonly streamName: string;
  readonly log: Log;
  /** Aborted when the stream doesn't need the source any more, or when it stalled. `run` must end soon after. */
  readonly signal: AbortSignal;
}

/** A form of sound that a camera takes for its loudspeaker. */
export interface TalkCodec {
  readonly codec: AudioCodec;
  /** Of the RTP clock, as `medias` shows it. */
  readonly clockRateHz: number;
  readonly sampleRateHz: number;
  readonly channels: number;
}

/** An open way to a camera's loudspeaker. */
export interface TalkLine {
  /** In order; bursts are smoothed to real time, and what comes too much of is dropped. */
  push(unit: Pick<AccessUnit, 'format' | 'data'>): void;
  /** Resolves when all that was pushed has been sent; a little later at the latest, also if it can't be. */
  finish(): Promise<void>;
  /** Rejects when the way is lost; never resolves. */
  readonly ended: Promise<never>;
}

/** A connection to a camera that can become a `TalkLine`. Disposing of it closes all. */
export interface TalkCall extends AsyncDisposable {
  /** What the camera takes, in its own order; empty: it can't be spoken to. */
  readonly codecs: readonly TalkCodec[];
  /**
   * Once.
   * @param live somebody speaks now: what comes late is dropped; otherwise it is a recording, of which nothing is
   * @throws HearthcamError when the camera refuses
   */
  start(codec: TalkCodec, live: boolean): Promise<TalkLine>;
}

/** Of a camera that takes no sound. */
export function silentCall(): TalkCall {
  return {
    codecs: [],
    start: () => Promise.reject(new HearthcamError('talk.none', 'the camera takes no sound', { status: 500 })),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A kind of source, registered in `modules.ts`. */
export interface SourceModule {
  readonly name: string;
  /** URL schemes without `:`; '' stands for the name of another stream. */
  readonly schemes: readonly string[];
  /** True for sources that may start programs or read files: only the configuration file may name them. */
  readonly configOnly?: boolean;
  /** Throws a HearthcamError (status 400) that says why a spec can't be used. Called before it is stored. */
  validate?(spec: SourceSpec): void;
  /** How long it may take until its tracks are known, in milliseconds, where that is longer than for a camera. */
  startMs?(spec: SourceSpec): number;
  /**
   * What a source that takes its media from its own stream stands for (`cam: [rtsp://…, ffmpeg:cam#audio=opus]`): such
   * a one is not connected; its tracks are made from the others' when somebody asks for them. Null for all others.
   */
  recipe?(spec: SourceSpec, streamName: string): readonly Target[] | null;
  /**
   * Connects once and delivers until the connection ends: resolves when the peer ended it in order, rejects with the
   * reason otherwise. Reconnecting, stall detection and back-off are the caller's.
   */
  run(request: SourceRequest, sink: SourceSink): Promise<void>;
  /**
   * Calls the camera to speak to it, by a connection besides the one that `run` holds: pictures are not disturbed.
   * Absent for sources that never can.
   * @throws HearthcamError when it can't be reached
   */
  talk?(request: SourceRequest): Promise<TalkCall>;
}

/** First value of a `#` parameter. */
export function specParam(spec: SourceSpec, key: string): string | undefined {
  return spec.params.get(key)?.[0];
}
