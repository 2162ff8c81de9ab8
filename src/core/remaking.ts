import { describeError } from './errors.ts';
import type { MediaKind } from './media.ts';
import type { MediaWant, Negotiation } from './negotiate.ts';
import type { SourceModule } from './source.ts';
import type { Stream } from './stream.ts';
import { type Target, targetKey, type VideoTarget } from './targets.ts';

/** `ConsumerInfo.formatName` of what makes a stream from another: no viewer by itself. */
export const REMAKER = 'transcode';

/** A track of a stream that is made from another stream: taken as it is, or made anew. */
export type DerivedTrack =
  | { readonly copy: MediaWant }
  | {
      readonly make: Target;
      /** Also when the source has the codec already and nothing else is asked for (to lose B-frames). */
      readonly always?: boolean;
    };

/** Why a viewer does not get what it asked for, in words for the owner. */
export interface Refusal {
  readonly kind: MediaKind;
  /** E.g. `H.265 video is not made into H.264: that takes much computing on this machine`. */
  readonly reason: string;
  /** The line of the configuration that would give it, if there is one. */
  readonly hint?: string;
}

export interface RemakePlan {
  /** All tracks of the stream to open instead; null when nothing can or may be made. */
  readonly tracks: readonly DerivedTrack[] | null;
  readonly refused: readonly Refusal[];
}

/** Makes tracks that no source gives from those that there are. Implemented by `src/transcode`. */
export interface Remaker {
  /**
   * What would meet the wants that no track fits, with the picture made as given if it is. Pure: nothing is started.
   */
  plan(stream: Stream, found: Negotiation, wants: readonly MediaWant[], picture?: VideoTarget): RemakePlan;
  /** A source with the given tracks, made from `stream`. */
  source(stream: Stream, tracks: readonly DerivedTrack[]): SourceModule;
}

/** As an `ffmpeg:` source would say it: `ffmpeg:nursery#video=copy#audio=opus`. Equal texts mean equal tracks. */
export function describeDerivation(streamName: string, tracks: readonly DerivedTrack[]): string {
  const parts = tracks.map((track) => {
    if ('make' in track) return `#${track.make.kind}=${targetKey(track.make).replaceAll(' ', '#')}`;
    const { kind, codecs } = track.copy;
    return `#${kind}=${codecs === 'any' ? 'copy' : codecs.join(',')}`;
  });
  return `ffmpeg:${streamName}${parts.join('')}`;
}

/** The words for an error's `hint`. */
export function refusalHint(refused: readonly Refusal[]): { hint?: string } {
  const [first] = refused;
  if (first === undefined) return {};
  return { hint: first.hint === undefined ? first.reason : `${first.reason}; ${first.hint}` };
}

/** For a track that should have been made but failed. */
export function refusalFor(kind: MediaKind, error: unknown): Refusal {
  return { kind, reason: `${kind} can't be made: ${describeError(error)}` };
}
