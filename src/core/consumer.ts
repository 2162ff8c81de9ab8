import type { HearthcamError } from './errors.ts';
import type { Track } from './media.ts';
import type { MediaWant } from './negotiate.ts';
import type { Refusal } from './remaking.ts';
import type { Stream } from './stream.ts';
import type { VideoTarget } from './targets.ts';

/** Who is asking, for `/api/streams` and for the log. */
export interface ConsumerInfo {
  /**
   * `rtsp`, `mse/fmp4`, `hls/fmp4`, `mp4`, `webrtc`, `mjpeg`, `keyframe`, `preload`, `probe`, … (compatibility.md 1.2)
   */
  readonly formatName: string;
  readonly protocol: string;
  readonly remoteAddr: string;
  readonly userAgent?: string;
}

export interface ConsumerRequest extends ConsumerInfo {
  readonly wants: readonly MediaWant[];
  /**
   * `all`: every want must be met; `picture`: the picture, if the stream has one and it is wanted (a player that shows
   * nothing but plays sound looks broken); `any` (default): one is enough.
   */
  readonly need?: 'any' | 'all' | 'picture';
  /** False: only tracks as the sources give them. Default: what no source gives is made, where that is allowed. */
  readonly remake?: boolean;
  /** The picture is to be made like this whatever the camera sends; the owner's switch does not matter then. */
  readonly picture?: VideoTarget;
  /** Called once when the stream has nothing more for this consumer: removed, or its tracks are gone for good. */
  readonly onEnd?: (reason: HearthcamError) => void;
  /** Ends a wait for the camera early. */
  readonly signal?: AbortSignal;
}

/** A viewer, recorder or listener of a stream, as the stream keeps account of it. Keeps the stream running. */
export interface Consumer extends ConsumerInfo {
  readonly id: number;
  /** The stream to subscribe to: where tracks had to be made it is another one than was asked. */
  readonly stream: Stream;
  readonly wants: readonly MediaWant[];
  readonly tracks: readonly Track[];
  readonly missing: readonly MediaWant[];
  /** Why the missing ones are missing, as far as they could be made. */
  readonly refused: readonly Refusal[];
  /** Changes where it is settled later than the viewer is opened (RTSP: `rtsp+udp` by SETUP). */
  protocol: string;
  /** Changes where the media goes another way than the request came (WebRTC: `192.0.2.2:59187 host`). */
  remoteAddr: string;
  /** What else the output knows about this viewer, for `/api/streams`: loss, round-trip time, … */
  details?: Readonly<Record<string, string | number>>;
  /** Kept by the output: payload bytes handed to this viewer, access units given, access units left out. */
  bytesSent: number;
  unitsSent: number;
  unitsDropped: number;
  close(): void;
}
