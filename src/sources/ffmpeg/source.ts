import { HearthcamError } from '../../core/errors.ts';
import { forwardStream } from '../../core/forward.ts';
import type { Hub } from '../../core/hub.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { inputStream } from '../../core/own-streams.ts';
import type { SourceDescription, SourceModule, SourceRequest, SourceSink, SourceTrack } from '../../core/source.ts';
import { type FfmpegSpec, parseFfmpegSpec } from './spec.ts';

export interface FfmpegSourceOptions {
  readonly getHub: () => Hub;
  /** The modules that inputs are handed to, found by their schemes. */
  readonly modules: readonly SourceModule[];
  /** Ports of our own RTSP server. */
  readonly ownRtspPorts: () => readonly number[];
}

/**
 * `ffmpeg:<input>#…`: passes the input on as long as no codec has to change, without a program in between. What would
 * need transcoding is refused with an error that says so.
 */
export function createFfmpegSource(options: FfmpegSourceOptions): SourceModule {
  return {
    name: 'ffmpeg',
    schemes: ['ffmpeg'],
    validate: (spec) => void parseFfmpegSpec(spec),
    async run(request, sink) {
      const wanted = parseFfmpegSpec(request.spec);
      if (wanted.remakes.length > 0 && wanted.wants.some((want) => want.kind === 'video')) {
        throw needsTranscoding(request, wanted.remakes.join(' and '));
      }
      const hub = options.getHub();
      const name = inputStream(wanted.input, hub, options.ownRtspPorts());
      if (name !== null) return fromStream(hub, name, wanted, request, sink, options.ownRtspPorts());
      const { scheme } = wanted.input;
      const module = options.modules.find((one) => one.schemes.includes(scheme));
      if (module === undefined || module.configOnly === true) {
        throw new HearthcamError('source.ffmpeg', `ffmpeg: of "${scheme}:" is not supported`, {
          status: 400,
          permanent: true,
          hint: 'its input may be a stream name or an rtsp://, rtsps://, http:// or https:// address',
        });
      }
      module.validate?.(wanted.input);
      return fromModule(module, wanted, request, sink);
    },
  };
}

async function fromStream(
  hub: Hub,
  name: string,
  wanted: FfmpegSpec,
  request: SourceRequest,
  sink: SourceSink,
  ownPorts: readonly number[],
): Promise<void> {
  // `ffmpeg:cam#audio=opus` as a source of `cam` itself: what the stream has of it, it has already.
  const own = name === request.streamName;
  const named = wanted.wants.filter((want) => want.codecs !== 'any');
  if (own && named.length > 0) throw needsTranscoding(request, describeWants(named));
  try {
    await forwardStream(hub, name, wanted.wants, request, sink, ownPorts);
  } catch (error) {
    if (error instanceof HearthcamError && error.code === 'stream.codecs') {
      throw needsTranscoding(request, describeWants(wanted.wants), error);
    }
    throw error;
  }
}

async function fromModule(
  module: SourceModule,
  wanted: FfmpegSpec,
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  const stop = new AbortController();
  const filter = new TrackFilter(sink, wanted.wants, (have) => {
    const text = have.map((track) => `${track.kind} ${track.codec}`).join(', ');
    const cause = new HearthcamError('source.has', `it has ${text}`);
    // Not within `describe`: the module may begin to listen for the abort right after it.
    setImmediate(() => stop.abort(needsTranscoding(request, describeWants(wanted.wants), cause)));
  });
  const signal = AbortSignal.any([request.signal, stop.signal]);
  try {
    await module.run({ ...request, spec: wanted.input, signal }, filter);
  } catch (error) {
    stop.signal.throwIfAborted();
    throw error;
  }
  stop.signal.throwIfAborted();
}

/** Lets only those tracks of a source through that are asked for, under new indexes. */
class TrackFilter implements SourceSink {
  readonly #sink: SourceSink;
  readonly #wants: readonly MediaWant[];
  readonly #onNothing: (have: readonly SourceTrack[]) => void;
  #indexes: readonly number[] = [];

  constructor(sink: SourceSink, wants: readonly MediaWant[], onNothing: (have: readonly SourceTrack[]) => void) {
    this.#sink = sink;
    this.#wants = wants;
    this.#onNothing = onNothing;
  }

  describe(description: SourceDescription): readonly boolean[] {
    const chosen = description.tracks.filter((track) => this.#wants.some((want) => fits(track, want)));
    this.#indexes = description.tracks.map((track) => chosen.indexOf(track));
    if (chosen.length === 0) {
      this.#onNothing(description.tracks);
      return description.tracks.map(() => false);
    }
    const taken = this.#sink.describe({ ...description, tracks: chosen });
    return this.#indexes.map((index) => taken[index] === true);
  }

  unit(unit: Parameters<SourceSink['unit']>[0]): void {
    const track = this.#indexes[unit.track] ?? -1;
    if (track >= 0) this.#sink.unit(track === unit.track ? unit : { ...unit, track });
  }

  sync(track: number, ticks: number, ntpMs: number): void {
    const index = this.#indexes[track] ?? -1;
    if (index >= 0) this.#sink.sync(index, ticks, ntpMs);
  }

  flush(): void {
    this.#sink.flush();
  }

  alive(bytes: number): void {
    this.#sink.alive(bytes);
  }
}

function fits(track: SourceTrack, want: MediaWant): boolean {
  return want.kind === track.kind && (want.codecs === 'any' || want.codecs.includes(track.codec));
}

function describeWants(wants: readonly MediaWant[]): string {
  return wants
    .map(({ kind, codecs }) => (codecs === 'any' ? kind : `${kind} ${codecs.join(' or ') || 'codec'}`))
    .join(', ');
}

function needsTranscoding(request: SourceRequest, what: string, cause?: HearthcamError): HearthcamError {
  return new HearthcamError('source.transcode', `${what} needs transcoding, which this version does not do yet`, {
    status: 501,
    permanent: true,
    hint: `let the camera of "${request.streamName}" send it, or take what it has with #video=copy or #audio=copy`,
    ...(cause === undefined ? {} : { cause }),
  });
}
