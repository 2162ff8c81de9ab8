import type { Cameras } from '../../core/contracts.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import { LogLimiter } from '../../core/log.ts';
import type { VideoFormat } from '../../core/media.ts';
import {
  type CellPlace,
  MAX_MOSAIC_CELLS,
  type MosaicMaker,
  type MosaicView,
  mosaicPlaces,
} from '../../core/mosaic.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import { Scope } from '../../core/scope.ts';
import type { SourceModule, SourceRequest, SourceSink } from '../../core/source.ts';
import type { Stream } from '../../core/stream.ts';
import { cellNames, cellStreams, isKnownSmall, isTooSmall, refuseLoops } from './cells.ts';
import { type MosaicSpec, parseMosaicSpec } from './spec.ts';

export interface MosaicOptions {
  readonly getHub: () => Hub;
  readonly ownRtspPorts: () => readonly number[];
  readonly variantsOf: Cameras['variants'];
  /** Absent where nothing is ever run. */
  readonly getMaker: (() => MosaicMaker) | undefined;
}

/** A camera that could not be reached is tried again after so long; cameras that come back by themselves are faster. */
const RETRY_MS = 3_000;
/** How often it is looked whether there are other cameras. */
const LOOK_MS = 3_000;
/** Cameras and the process are watched elsewhere. */
const ALIVE_MS = 1_000;
const LOG_PERIOD_MS = 60_000;

/** `mosaic:one,two,three`: several streams as one picture, coded while somebody watches it. */
export function createMosaicSource(options: MosaicOptions): SourceModule {
  return {
    name: 'mosaic',
    schemes: ['mosaic'],
    validate: (spec) => {
      parseMosaicSpec(spec);
    },
    run: (request, sink) => run(options, parseMosaicSpec(request.spec), request, sink),
  };
}

async function run(options: MosaicOptions, spec: MosaicSpec, request: SourceRequest, sink: SourceSink): Promise<void> {
  const { signal, streamName } = request;
  const { getHub, ownRtspPorts, variantsOf, getMaker } = options;
  if (getMaker === undefined)
    throw new HearthcamError('mosaic.unavailable', 'no mosaic can be made here', { status: 501 });
  await using scope = new Scope(`mosaic ${streamName}`);
  const names = (): readonly string[] =>
    cellNames(getHub(), spec.names, variantsOf, ownRtspPorts()).slice(0, MAX_MOSAIC_CELLS);
  const over = Promise.withResolvers<void>();
  over.promise.catch(() => {});
  const onAbort = (): void => over.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  scope.defer(() => signal.removeEventListener('abort', onAbort));
  let arranged = '';
  let current: Scope | undefined;
  const arrange = (): void => {
    const cells = names();
    if (cells.join() === arranged) return;
    if (cells.length === 0) {
      throw new HearthcamError('mosaic.empty', 'there is no camera for the mosaic', {
        status: 404,
        hint: 'name streams that exist, or add some',
      });
    }
    refuseLoops(getHub(), cells, streamName, ownRtspPorts());
    arranged = cells.join();
    current?.close().catch((error: unknown) => request.log.warn(describeError(error)));
    current = scope.child('arrangement');
    arrangement(options, getMaker(), cells, spec, request, sink, current, (error) => over.reject(error));
  };
  arrange();
  sink.describe({
    tracks: [{ kind: 'video', codec: 'h264', clockRateHz: 90_000, format: null }],
    formatName: 'mosaic',
    protocol: 'internal',
    remoteAddr: '',
    sharedClock: true,
  });
  scope.every(ALIVE_MS, () => sink.alive(0));
  scope.every(LOOK_MS, () => {
    try {
      arrange();
    } catch (error) {
      over.reject(error);
    }
  });
  if (!signal.aborted) await over.promise;
}

/** Shows these cells until the scope ends. */
function arrangement(
  { getHub, variantsOf }: MosaicOptions,
  maker: MosaicMaker,
  names: readonly string[],
  { shape }: MosaicSpec,
  request: SourceRequest,
  sink: SourceSink,
  scope: Scope,
  fail: (error: unknown) => void,
): void {
  let format: VideoFormat | undefined;
  const view = maker.make(request.streamName, names, shape, {
    format: (made) => {
      format = made;
    },
    unit: ({ pts, key, data }) => {
      if (format === undefined || scope.closed) return;
      sink.alive(data.length);
      sink.unit({ track: 0, format, ticks: pts, decodeTicks: pts, key, data });
      sink.flush();
    },
    failed: fail,
  });
  scope.defer(() => view[Symbol.dispose]());
  const places = mosaicPlaces(names.length, shape.width, shape.height);
  for (const [index, name] of names.entries()) {
    const place = places[index];
    if (place === undefined) continue;
    const streams = (): readonly Stream[] => cellStreams(getHub(), name, place, variantsOf);
    void fillCell(view, index, place, name, streams, request, scope);
  }
}

/** Keeps a cell filled: with the smallest stream that is large enough, or the next one while that is away. */
async function fillCell(
  view: MosaicView,
  index: number,
  place: CellPlace,
  name: string,
  streams: () => readonly Stream[],
  request: SourceRequest,
  scope: Scope,
): Promise<void> {
  const limiter = new LogLimiter(LOG_PERIOD_MS);
  while (!scope.closed) {
    let failure: unknown = new HearthcamError('source.unknown', `there is no stream "${name}"`, { status: 404 });
    const all = streams();
    for (const [nth, stream] of all.entries()) {
      if (scope.closed) return;
      try {
        const othersMayDo = all.slice(nth + 1).some((other) => !isKnownSmall(other, place));
        await showStream(view, index, place, stream, othersMayDo, request.streamName, scope);
      } catch (error) {
        failure = error;
      }
    }
    if (scope.closed) return;
    view.show(index, null);
    const text = `the mosaic "${request.streamName}" shows no "${name}": ${describeError(failure)}`;
    if (limiter.admit(text) !== null) request.log.info(text);
    await scope.sleep(RETRY_MS);
  }
}

/** Shows the stream until it ends. Returns at once when it turns out to be too small and there is another one. */
async function showStream(
  view: MosaicView,
  index: number,
  place: CellPlace,
  stream: Stream,
  othersMayDo: boolean,
  mosaicName: string,
  scope: Scope,
): Promise<void> {
  const { signal } = scope;
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  const onAbort = (): void => ended.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  using held = new DisposableStack();
  held.defer(() => signal.removeEventListener('abort', onAbort));
  const consumer = await stream.open({
    formatName: 'mosaic',
    protocol: 'internal',
    remoteAddr: mosaicName,
    wants: [{ kind: 'video', codecs: 'any' }],
    remake: false,
    signal,
    onEnd: (reason) => ended.reject(reason),
  });
  held.defer(() => consumer.close());
  const [track] = await knownFormats(stream, consumer.tracks, signal);
  signal.throwIfAborted();
  if (track === undefined || (othersMayDo && isTooSmall(track, place))) return;
  view.show(index, { stream, track });
  if (!signal.aborted) await ended.promise;
}
