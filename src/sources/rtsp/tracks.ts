import { HearthcamError } from '../../core/errors.ts';
import type { MediaKind } from '../../core/media.ts';
import type { DepacketizedUnit, MediaProblem, RtpMedia } from '../../wire/codecs/depacketizer.ts';
import { MediaReceiver } from '../../wire/rtp/media-receiver.ts';
import { type ControlBase, mediaControl } from '../../wire/sdp/control.ts';
import { chooseFormat } from '../../wire/sdp/media.ts';
import type { SdpMedia, SdpSession } from '../../wire/sdp/parse.ts';
import type { UdpPair } from './udp.ts';

/** A medium of the camera that we can use. */
export interface RtspTrack {
  readonly kind: MediaKind;
  /** For SETUP. */
  readonly url: string;
  readonly receiver: MediaReceiver;
  /** All payload types of its `m=` line: those beside the chosen one (comfort noise) are dropped. */
  readonly payloadTypes: ReadonlySet<number>;
  /** Position in the last description given to the stream. */
  index: number;
  /** Interleaved channels as the camera says. */
  channels: readonly [number, number];
  udp: UdpPair | undefined;
  serverPorts: readonly [number, number] | undefined;
  /** Its source has sent BYE and nothing since. */
  gone: boolean;
}

export interface TrackEvents {
  onUnit(track: RtspTrack, unit: DepacketizedUnit): void;
  /** May come while the track is being made: of its SDP. */
  onProblem(kind: MediaKind, problem: MediaProblem): void;
  onSync(track: RtspTrack, ticks: number, ntpUnixMs: number): void;
}

export interface ChooseInput {
  readonly session: SdpSession;
  readonly base: ControlBase;
  readonly media: MediaKind | undefined;
  /** Control URLs to leave out. */
  readonly avoid: ReadonlySet<string>;
  readonly events: TrackEvents;
  readonly onUnsupported: (what: string) => void;
}

/**
 * The first usable video and the first usable audio. Others would cost the camera bandwidth for nobody: second audio
 * tracks are talk channels (Dahua marks them `recvonly` all the same), `application` is metadata.
 */
export function chooseTracks(input: ChooseInput): RtspTrack[] {
  const { session, base, media, avoid, onUnsupported } = input;
  const tracks: RtspTrack[] = [];
  // `sendonly` means talk, from the client's point of view (ONVIF Streaming Specification §5.3); where the video is
  // marked so too, the camera means itself (AlexxIT/go2rtc#771).
  const ownView = session.media.some((one) => one.kind === 'video' && one.direction === 'sendonly');
  for (const one of session.media) {
    if (one.kind !== 'video' && one.kind !== 'audio') continue;
    if (media !== undefined && media !== one.kind) continue;
    if (one.direction === 'inactive' || (one.direction === 'sendonly' && !ownView)) continue;
    if (tracks.some((track) => track.kind === one.kind)) continue;
    const url = mediaControl(base, session.control, one.control);
    if (avoid.has(url)) continue;
    const format = chooseFormat(one);
    const track = format === null ? null : makeTrack(one, one.kind, format, url, input.events);
    if (track === null) {
      onUnsupported(`${one.kind} ${one.formats.map((f) => f.encoding || String(f.payloadType)).join('/')}`);
      continue;
    }
    tracks.push(track);
  }
  return tracks;
}

function makeTrack(
  sdp: SdpMedia,
  kind: MediaKind,
  media: RtpMedia,
  url: string,
  events: TrackEvents,
): RtspTrack | null {
  let receiver: MediaReceiver;
  try {
    receiver = new MediaReceiver({
      media,
      onUnit: (unit) => events.onUnit(track, unit),
      onProblem: (problem) => events.onProblem(kind, problem),
      onSync: (ticks, ntpUnixMs) => events.onSync(track, ticks, ntpUnixMs),
    });
  } catch (error) {
    if (error instanceof HearthcamError) return null;
    throw error;
  }
  const track: RtspTrack = {
    kind,
    url,
    receiver,
    payloadTypes: new Set(sdp.formats.map((format) => format.payloadType)),
    index: 0,
    channels: [0, 1],
    udp: undefined,
    serverPorts: undefined,
    gone: false,
  };
  return track;
}
