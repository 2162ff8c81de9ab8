import { HearthcamError } from '../../core/errors.ts';
import type { MediaKind, Track, TrackFormat } from '../../core/media.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import { type DerivedTrack, REMAKER } from '../../core/remaking.ts';
import type { SourceRequest } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import type { Target } from '../../core/targets.ts';

export interface FittingTracks {
  readonly tracks: readonly DerivedTrack[];
  /** Kinds that were asked for and that the input does not have: a camera without a microphone is no fault. */
  readonly missing: readonly MediaKind[];
}

/**
 * What is to be made of a stream, now that it is seen what it has: tracks that are right already are taken as they are,
 * and none twice.
 * @throws HearthcamError when it has nothing of it, or what `Stream.open` throws
 */
export async function fittingTracks(
  stream: Stream,
  wanted: readonly DerivedTrack[],
  request: SourceRequest,
): Promise<FittingTracks> {
  const { signal } = request;
  const kinds = [...new Set(wanted.map(kindOf))];
  const opened = stream.open({
    formatName: REMAKER,
    protocol: 'internal',
    remoteAddr: request.streamName,
    wants: kinds.map((kind) => ({ kind, codecs: 'any' })),
    remake: false,
    signal,
  });
  const consumer = await opened.catch((error: unknown) => {
    throw error instanceof HearthcamError && error.code === 'stream.codecs' ? lacks(kinds, error) : error;
  });
  try {
    const known = await knownFormats(stream, consumer.tracks, signal);
    const tracks = new Map<string, DerivedTrack>();
    for (const track of wanted) {
      const from = known.find((one) => one.kind === kindOf(track));
      if (from === undefined) continue;
      const fitting = fit(track, from);
      tracks.set(JSON.stringify(fitting), fitting);
    }
    if (tracks.size === 0) throw lacks(kinds);
    return {
      tracks: [...tracks.values()],
      missing: kinds.filter((kind) => !known.some((track) => track.kind === kind)),
    };
  } finally {
    consumer.close();
  }
}

function lacks(kinds: readonly MediaKind[], cause?: HearthcamError): HearthcamError {
  return new HearthcamError('source.ffmpeg', `ffmpeg: the input has no ${kinds.join(' and no ')}`, {
    status: 502,
    permanent: true,
    ...(cause === undefined ? {} : { cause }),
  });
}

function kindOf(track: DerivedTrack): MediaKind {
  return 'make' in track ? track.make.kind : track.copy.kind;
}

/** With the codec named, so that the same track is the same text however it was asked for. */
function fit(track: DerivedTrack, from: Track): DerivedTrack {
  const copies = 'copy' in track || (from.format !== null && isFulfilled(track.make, from.format));
  return copies ? { copy: { kind: from.kind, codecs: [from.codec] } } : track;
}

/** Whether a track is what is asked for. Hardware is a way to make it, not a property of it. */
function isFulfilled(target: Target, format: TrackFormat): boolean {
  if (target.codec !== format.codec) return false;
  if (target.kind === 'audio') {
    return (
      format.kind === 'audio' &&
      target.bitrateKbps === undefined &&
      (target.sampleRateHz ?? format.sampleRateHz) === format.sampleRateHz &&
      (target.channels ?? format.channels) === format.channels
    );
  }
  const { kind: _kind, codec: _codec, hardware: _hardware, width, height, ...changes } = target;
  return (
    format.kind === 'video' &&
    (width ?? format.width) === format.width &&
    (height ?? format.height) === format.height &&
    Object.values(changes).every((value) => value === undefined)
  );
}
