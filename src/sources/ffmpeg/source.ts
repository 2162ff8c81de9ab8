import { HearthcamError } from '../../core/errors.ts';
import { forwardStream, requireInput } from '../../core/forward.ts';
import type { Hub } from '../../core/hub.ts';
import type { Log } from '../../core/log.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { inputStream, meansStream } from '../../core/own-streams.ts';
import type { Remaker } from '../../core/remaking.ts';
import type { SourceModule, SourceRequest, SourceSink, SourceSpec } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import type { Hardware } from '../../core/targets.ts';
import { refuse } from './asked.ts';
import { demuxerSource } from './demux.ts';
import { fittingTracks } from './fitting.ts';
import { askedHardware, describeTrack, type FfmpegSpec, type FfmpegTemplates, parseFfmpegSpec } from './spec.ts';
import { TrackFilter } from './track-filter.ts';

export interface FfmpegSourceOptions {
  readonly getHub: () => Hub;
  /** The modules that inputs are handed to, found by their schemes. */
  readonly modules: readonly SourceModule[];
  /** Ports of our own RTSP server. */
  readonly ownRtspPorts: () => readonly number[];
  /** Absent where nothing is ever run, as in a check of the configuration. */
  readonly getRemaker?: (() => Remaker) | undefined;
  /** Those of the configuration. */
  readonly templates?: FfmpegTemplates | undefined;
  /** Why hardware of this kind can't be used on this machine; null when it can, or nothing is known yet. */
  readonly hardwareProblem?: ((kind: Hardware) => string | null) | undefined;
}

/**
 * `ffmpeg:<input>#…`: what the ffmpeg program would be started for, without that program. What the input has already is
 * passed on, the rest is made in the codec process.
 */
export function createFfmpegSource(options: FfmpegSourceOptions): SourceModule {
  const { getHub, ownRtspPorts, templates } = options;
  const parse = (spec: SourceSpec): FfmpegSpec => parseFfmpegSpec(spec, templates);
  return {
    name: 'ffmpeg',
    schemes: ['ffmpeg'],
    validate(spec) {
      const wanted = parse(spec);
      if (wanted.input.kind === 'source') inputModule(options, wanted);
      for (const kind of askedHardware(wanted)) {
        const problem = options.hardwareProblem?.(kind) ?? null;
        if (problem !== null) throw refuse(`#hardware=${kind}: ${problem}`, 'leave #hardware out');
      }
    },
    recipe(spec, streamName) {
      const wanted = parse(spec);
      return meansStream(wanted.input.spec, streamName, ownRtspPorts()) ? wanted.recipe : null;
    },
    run(request, sink) {
      const wanted = parse(request.spec);
      const hub = getHub();
      const { spec, kind } = wanted.input;
      // A stream may be called like a file.
      const name =
        kind === 'demuxer' && hub.get(spec.url) === undefined ? null : inputStream(spec, hub, ownRtspPorts());
      if (name !== null) return fromStream(options, name, wanted, request, sink);
      const module = kind === 'demuxer' ? demuxerSource(wanted.input.loop) : inputModule(options, wanted);
      return fromModule(options, module, wanted, request, sink);
    },
  };
}

/** @throws HearthcamError 400 when nobody reads such an input */
function inputModule(options: FfmpegSourceOptions, { input }: FfmpegSpec): SourceModule {
  const { scheme } = input.spec;
  const module = options.modules.find((one) => one.schemes.includes(scheme));
  if (module === undefined) {
    throw refuse(
      `an input of the kind "${scheme}:" is not supported`,
      'its input may be a stream, a file, or a rtsp:// or http:// address',
    );
  }
  module.validate?.(input.spec);
  return module;
}

async function fromStream(
  options: FfmpegSourceOptions,
  name: string,
  wanted: FfmpegSpec,
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  const hub = options.getHub();
  const ports = options.ownRtspPorts();
  const copies = copiesOnly(wanted);
  if (copies !== null) return forwardStream(hub, name, copies, request, sink, ports);
  const stream = requireInput(hub, name, request.streamName, ports);
  return remake(options, stream, wanted, request, sink);
}

async function fromModule(
  options: FfmpegSourceOptions,
  module: SourceModule,
  wanted: FfmpegSpec,
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  const copies = copiesOnly(wanted);
  const { spec } = wanted.input;
  if (copies !== null) return passOn(module, spec, copies, request, sink);
  const log = untilOpen(request.log);
  const stream = options.getHub().makePrivate(request.streamName, spec, module, log.log);
  try {
    await remake(options, stream, wanted, request, sink, log.open);
  } finally {
    await stream.close();
  }
}

async function remake(
  options: FfmpegSourceOptions,
  stream: Stream,
  wanted: FfmpegSpec,
  request: SourceRequest,
  sink: SourceSink,
  onOpen: () => void = () => {},
): Promise<void> {
  const remaker = options.getRemaker?.();
  if (remaker === undefined) {
    const what = wanted.tracks.map(describeTrack).join(', ');
    throw new HearthcamError('source.transcode', `${what} would have to be made, which is not possible here`, {
      status: 501,
      permanent: true,
    });
  }
  const { tracks, missing } = await fittingTracks(stream, wanted.tracks, request);
  onOpen();
  for (const kind of missing) request.log.debug(`camera "${request.streamName}": its input has no ${kind}`);
  await remaker.source(stream, tracks).run(request, sink);
}

/** Null when something is to be made. */
function copiesOnly({ tracks }: FfmpegSpec): readonly MediaWant[] | null {
  const wants = tracks.flatMap((track) => ('copy' in track ? track.copy : []));
  return wants.length === tracks.length ? wants : null;
}

async function passOn(
  module: SourceModule,
  spec: SourceSpec,
  wants: readonly MediaWant[],
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  const stop = new AbortController();
  const filter = new TrackFilter(sink, wants, (have) => {
    const missing = wants.map((want) => want.kind).join(' and no ');
    const has = have.map((track) => `${track.kind} ${track.codec}`).join(', ');
    const error = new HearthcamError('source.ffmpeg', `ffmpeg: the input has no ${missing}, but ${has || 'nothing'}`, {
      status: 502,
      permanent: true,
    });
    // Not within `describe`: the module may begin to listen for the abort right after it.
    setImmediate(() => stop.abort(error));
  });
  const signal = AbortSignal.any([request.signal, stop.signal]);
  try {
    await module.run({ ...request, spec, signal }, filter);
  } catch (error) {
    stop.signal.throwIfAborted();
    throw error;
  }
  stop.signal.throwIfAborted();
}

/** Until the input is open, a failure is told by whoever asked for it; afterwards by the input itself. */
function untilOpen(log: Log): { readonly log: Log; readonly open: () => void } {
  let isOpen = false;
  const quiet: Log = {
    trace: (message, fields) => log.trace(message, fields),
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    warn: (message, fields) => (isOpen ? log.warn(message, fields) : log.debug(message, fields)),
    error: (message, fields) => log.error(message, fields),
    child: (module) => log.child(module),
  };
  return {
    log: quiet,
    open: () => {
      isOpen = true;
    },
  };
}
