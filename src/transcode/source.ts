import { HearthcamError } from '../core/errors.ts';
import type { AccessUnit, Track } from '../core/media.ts';
import { knownFormats } from '../core/mp4-tracks.ts';
import type { MediaWant } from '../core/negotiate.ts';
import { type DerivedTrack, REMAKER } from '../core/remaking.ts';
import type { SourceDescription, SourceModule, SourceRequest, SourceSink, SourceTrack } from '../core/source.ts';
import type { Stream } from '../core/stream.ts';
import type { Target } from '../core/targets.ts';
import { planAudio } from './audio-format.ts';
import type { MadeTrack } from './made-track.ts';
import type { Pipes } from './pipes.ts';

/** Cameras and processes are watched elsewhere: this source is alive as long as it waits for them. */
const ALIVE_MS = 1_000;

/** A source whose tracks come from `stream`: as they are, or made anew in the codec process. */
export function makeRemakeSource(stream: Stream, tracks: readonly DerivedTrack[], pipes: Pipes): SourceModule {
  return { name: 'transcode', schemes: ['ffmpeg'], run: (request, sink) => run(stream, tracks, pipes, request, sink) };
}

async function run(
  stream: Stream,
  derived: readonly DerivedTrack[],
  pipes: Pipes,
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  for (let again = false; ; again = true) {
    try {
      await runOnce(stream, derived, pipes, request, sink);
      return;
    } catch (error) {
      if (!(error instanceof HearthcamError)) throw error;
      // Viewers who can't go on with what the camera sends now must choose anew, as its own viewers do.
      if (again && error.code === 'stream.codecs') sink.describe({ ...ownDescription(stream), tracks: [] });
      if (error.code !== 'stream.changed') throw error;
    }
  }
}

/** Until the stream is not needed any more, or can't go on; `stream.changed`: the camera has other tracks now. */
async function runOnce(
  stream: Stream,
  derived: readonly DerivedTrack[],
  pipes: Pipes,
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  const { signal } = request;
  const over = Promise.withResolvers<void>();
  over.promise.catch(() => {});
  const onAbort = (): void => over.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  using held = new DisposableStack();
  held.defer(() => signal.removeEventListener('abort', onAbort));
  let parts: readonly Part[] = [];
  const consumer = await stream.open({
    formatName: REMAKER,
    protocol: 'internal',
    remoteAddr: request.streamName,
    wants: wantsOf(derived),
    need: 'all',
    remake: false,
    signal,
    onEnd: (reason) => {
      if (reason.code === 'stream.changed') for (const { made } of parts) if (made !== null) made.comingBack = true;
      over.reject(reason);
    },
  });
  held.defer(() => consumer.close());
  const known = await knownFormats(stream, consumer.tracks, signal);
  signal.throwIfAborted();
  parts = derived.map((track) => takePart(track, known, stream, pipes, held));
  const taken = sink.describe({
    ...ownDescription(stream),
    tracks: parts.map(describePart),
  });
  const timer = setInterval(() => sink.alive(0), ALIVE_MS);
  held.defer(() => clearInterval(timer));

  const copies = new Map<number, number>();
  for (const [index, part] of parts.entries()) {
    if (part.made === null && taken[index] === true) copies.set(part.from.id, index);
  }
  const copy = (units: readonly AccessUnit[]): void => {
    let bytes = 0;
    for (const unit of units) {
      const index = copies.get(unit.trackId);
      if (index === undefined) continue;
      hand(sink, index, unit);
      bytes += unit.data.length;
    }
    consumer.bytesSent += bytes;
    if (bytes > 0) sink.flush();
  };
  if (copies.size > 0) {
    stream.settle();
    copy(stream.gop().units);
    held.defer(stream.subscribe(copy, { immediate: true }));
  }
  for (const [index, part] of parts.entries()) {
    if (part.made === null || taken[index] !== true) continue;
    const leave = part.made.use({
      units: (units) => {
        for (const unit of units) hand(sink, index, unit);
        sink.flush();
      },
      failed: (error) => over.reject(error),
      idle: () => stream.derived.some((one) => one.name === request.streamName && one.consumers.size === 0),
    });
    held.defer(leave);
  }
  if (!signal.aborted) await over.promise;
}

function ownDescription(stream: Stream): Omit<SourceDescription, 'tracks'> {
  return { formatName: 'transcode', protocol: 'internal', remoteAddr: stream.name, sharedClock: true };
}

/** Where a track of the derived stream comes from. */
interface Part {
  readonly from: Track;
  /** Null: it is `from` as it is. */
  readonly made: MadeTrack | null;
  readonly target: Target | null;
}

/** One want for each kind: what is taken as it is decides, else the first track of the kind is what others are made of. */
function wantsOf(derived: readonly DerivedTrack[]): MediaWant[] {
  const copies = derived.flatMap((track) => ('copy' in track ? track.copy : []));
  const kinds = new Set(derived.flatMap((track) => ('make' in track ? track.make.kind : [])));
  for (const { kind } of copies) kinds.delete(kind);
  return [...copies, ...[...kinds].map((kind): MediaWant => ({ kind, codecs: 'any' }))];
}

function takePart(
  derived: DerivedTrack,
  known: readonly Track[],
  stream: Stream,
  pipes: Pipes,
  held: DisposableStack,
): Part {
  const want = 'copy' in derived ? derived.copy : { kind: derived.make.kind, codecs: 'any' as const };
  const from = known.find(
    (track) => track.kind === want.kind && (want.codecs === 'any' || want.codecs.includes(track.codec)),
  );
  if (from === undefined) {
    throw new HearthcamError('transcode.input', `"${stream.name}" has no ${want.kind} at the moment`, { status: 502 });
  }
  if ('copy' in derived) return { from, made: null, target: null };
  if (derived.always !== true && isAlready(from, derived.make)) return { from, made: null, target: null };
  const { value, release } = pipes.take(stream, from, derived.make);
  held.defer(release);
  return { from, made: value, target: derived.make };
}

function isAlready(track: Track, target: Target): boolean {
  const { kind: _, codec, ...rest } = target;
  return track.codec === codec && Object.values(rest).every((value) => value === undefined);
}

function describePart({ from, made, target }: Part): SourceTrack {
  const { format } = from;
  if (made === null || target === null) {
    return { kind: from.kind, codec: from.codec, clockRateHz: format?.clockRateHz ?? 90_000, format };
  }
  if (target.kind === 'video') return { kind: 'video', codec: target.codec, clockRateHz: 90_000, format: made.format };
  // Known before anything is made, so that nobody has to wait for the process to start.
  const planned = format?.kind === 'audio' ? planAudio(target, format).format : made.format;
  return { kind: 'audio', codec: target.codec, clockRateHz: planned?.clockRateHz ?? 48_000, format: planned };
}

function hand(sink: SourceSink, track: number, unit: AccessUnit): void {
  const { format, pts, dts, key, data, wallMs } = unit;
  sink.sync(track, pts, wallMs);
  sink.unit({ track, format, ticks: pts, decodeTicks: dts, key, data });
}
