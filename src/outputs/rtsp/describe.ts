import { HearthcamError } from '../../core/errors.ts';
import type { AudioCodec, Track, TrackFormat, VideoCodec } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import type { Stream } from '../../core/stream.ts';
import { AUDIO_CODECS, VIDEO_CODECS, wantsFromQuery } from '../../core/wants.ts';
import { packetizerFor } from '../../wire/codecs/packetizer.ts';
import { fitsRtpJpeg } from '../../wire/jpeg/packetizer.ts';
import { buildSdp, type SdpEncoding, type SdpTrack, sdpEncoding } from '../../wire/sdp/index.ts';

/** A track as one description offers it. */
export interface OfferedTrack {
  readonly track: Track;
  readonly encoding: SdpEncoding;
  readonly payloadType: number;
}

const RTP_VIDEO: readonly VideoCodec[] = VIDEO_CODECS.filter((codec) => packetizerFor(codec) !== null);
const RTP_AUDIO: readonly AudioCodec[] = AUDIO_CODECS.filter((codec) => packetizerFor(codec) !== null);

/** What a viewer asks for: by its query, else by `default_query`; never a codec that RTP has no form for. */
export function wantsFor(query: URLSearchParams, defaultQuery: string): readonly MediaWant[] {
  const asked = wantsFromQuery(query);
  const wants = asked.length > 0 ? asked : wantsFromQuery(new URLSearchParams(defaultQuery));
  return wants.map((want) => {
    const able: MediaWant['codecs'] = want.kind === 'video' ? RTP_VIDEO : RTP_AUDIO;
    if (want.codecs === 'any') return { ...want, codecs: able };
    return { ...want, codecs: want.codecs.filter((codec) => packetizerFor(codec) !== null) };
  });
}

const FORMAT_WAIT_MS = 5_000;
const FORMAT_POLL_MS = 10;

/**
 * Waits until the formats are known (parameter sets may come only with the first key frame) and says how each track
 * is sent. Tracks that stay unknown are left out.
 * @throws HearthcamError when none is left
 */
export async function offer(stream: Stream, tracks: readonly Track[], signal: AbortSignal): Promise<OfferedTrack[]> {
  const endMs = performance.now() + FORMAT_WAIT_MS;
  while (tracks.some((track) => track.format === null) && performance.now() < endMs) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, FORMAT_POLL_MS));
  }
  const offered: OfferedTrack[] = [];
  for (const track of tracks) {
    const encoding = track.format === null ? null : sdpEncoding(track.format);
    if (track.format === null || encoding === null || !carried(stream, track, track.format)) continue;
    offered.push({ track, encoding, payloadType: encoding.staticPayloadType ?? 96 + offered.length });
  }
  if (offered.length > 0) return offered;
  const unknown = tracks.every((track) => track.format === null);
  throw new HearthcamError(
    unknown ? 'rtsp.silent' : 'rtsp.codecs',
    unknown
      ? `no picture and no sound came from "${stream.name}" within ${FORMAT_WAIT_MS / 1000} s`
      : `RTP can't carry what "${stream.name}" has`,
    { status: 404 },
  );
}

/** RFC 2435 can't carry every JPEG file, and which it is shows only by the file. */
function carried(stream: Stream, track: Track, format: TrackFormat): boolean {
  if (format.codec !== 'jpeg') return true;
  const unit = stream.gop().units.findLast((one) => one.trackId === track.id);
  return unit === undefined || fitsRtpJpeg(unit.data);
}

/** The session description that DESCRIBE answers; track N of it is `trackID=N`. @param talk what the client may send */
export function describeTracks(
  tracks: readonly OfferedTrack[],
  talk: readonly SdpTrack[],
  product: string,
  sessionId: number,
): string {
  return buildSdp({
    name: product,
    sessionId,
    tracks: [
      ...tracks.map(
        ({ track, encoding, payloadType }, index): SdpTrack => ({
          ...encoding,
          kind: track.kind,
          payloadType,
          control: `trackID=${index}`,
          direction: 'recvonly',
        }),
      ),
      ...talk,
    ],
  });
}
