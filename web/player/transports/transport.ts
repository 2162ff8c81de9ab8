import type { ServerAddress } from '../logic/address.ts';
import type { MediaWish } from '../logic/codecs.ts';
import type { Notice, Quality } from '../logic/qualities.ts';
import type { Reason } from '../logic/reasons.ts';

export interface TransportEvents {
  /** A picture was presented. */
  frame(): void;
  /** It is over; called once at most, and not after `stop`. */
  failed(reason: Reason): void;
  /** What came is known. */
  media(info: MediaInfo): void;
  /** A track that was asked for doesn't come. */
  notice(notice: Notice): void;
}

export interface MediaInfo {
  readonly hasAudio: boolean;
  /** As the protocol names it, e.g. `avc1.640029,mp4a.40.2`; empty where it doesn't say. */
  readonly codecs: string;
}

export interface TransportOptions {
  readonly server: ServerAddress;
  readonly src: string;
  readonly media: MediaWish;
  readonly iceServers: readonly RTCIceServer[];
  /** Name of the camera's quality, or `auto`. */
  readonly quality: string;
  /** Those that there are, as far as that is known by now. */
  readonly qualities: () => readonly Quality[];
  readonly events: TransportEvents;
}

/** One way of getting a picture into the page. */
export interface Transport {
  /** Shows the picture; belongs to the transport's owner, who puts it into the page before `start`. */
  readonly element: HTMLVideoElement | HTMLCanvasElement;
  start(): void;
  /** Ends the connection. The last picture stays in the element. Harmless when called again. */
  stop(): void;
  /** Forgets what has piled up, for example after the page was hidden. */
  goLive(): void;
  /** Seconds from the camera's packet to the picture as far as can be seen from here; null while unknown. */
  latencyS(): Promise<number | null>;
  /**
   * Changes the quality of what plays; false when that takes a new connection.
   * @throws Error with the server's reason when it refuses; what played goes on
   */
  setQuality?(name: string): Promise<boolean>;
}

/** A `<video>` that may start by itself: muted, inline. */
export function makeVideo(): HTMLVideoElement {
  const video = document.createElement('video');
  video.muted = true;
  video.autoplay = true;
  video.playsInline = true;
  video.disableRemotePlayback = true;
  video.preload = 'auto';
  return video;
}

/**
 * Starts playing. A browser that refuses sound without a click gets the picture muted; other refusals (the element was
 * removed meanwhile, the power saver paused it) come up again at the next `goLive`.
 */
export function play(video: HTMLVideoElement): void {
  video.play().catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'NotAllowedError' && !video.muted) {
      video.muted = true;
      video.play().catch(() => {
        // Muted pictures are refused only by settings of the browser that forbid all: the play button is the way out.
      });
    }
  });
}
