import type { Consumer } from './consumer.ts';
import { HearthcamError } from './errors.ts';
import type { Hub } from './hub.ts';
import type { AccessUnit } from './media.ts';
import { knownFormats } from './mp4-tracks.ts';
import type { MediaWant } from './negotiate.ts';
import { feedsFrom, loopError } from './own-streams.ts';
import type { SourceRequest, SourceSink } from './source.ts';
import type { Stream } from './stream.ts';

/**
 * The stream `name` as a source of the stream `streamName`.
 * @throws HearthcamError when there is no such stream, or when it would be fed by itself
 */
export function requireInput(hub: Hub, name: string, streamName: string, ownPorts: readonly number[]): Stream {
  const input = hub.get(name);
  if (input === undefined) {
    throw new HearthcamError('source.unknown', `there is no stream "${name}"`, {
      status: 404,
      hint: 'a source without "://" is the name of another stream',
    });
  }
  if (feedsFrom(hub, name, streamName, ownPorts)) {
    throw loopError(streamName, name);
  }
  return input;
}

/**
 * Hands on what the stream `name` shows, from its last key frame on, until the signal ends it.
 * @throws HearthcamError when there is no such stream, when it would be fed by itself, or what `Stream.open` throws
 */
export async function forwardStream(
  hub: Hub,
  name: string,
  wants: readonly MediaWant[],
  request: SourceRequest,
  sink: SourceSink,
  ownPorts: readonly number[],
): Promise<void> {
  const input = requireInput(hub, name, request.streamName, ownPorts);
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  const consumer = await input.open({
    formatName: 'stream',
    protocol: 'internal',
    remoteAddr: request.streamName,
    wants,
    signal: request.signal,
    onEnd: (reason) => ended.reject(reason),
  });
  const onAbort = (): void => ended.resolve();
  request.signal.addEventListener('abort', onAbort, { once: true });
  let unsubscribe = (): void => {};
  try {
    const forwarder = await Forwarder.start(consumer.stream, consumer, request.signal, sink);
    unsubscribe = consumer.stream.subscribe((units) => forwarder.push(units), { immediate: true });
    if (!request.signal.aborted) await ended.promise;
  } finally {
    request.signal.removeEventListener('abort', onAbort);
    unsubscribe();
    consumer.close();
  }
}

class Forwarder {
  readonly #sink: SourceSink;
  readonly #consumer: Consumer;
  readonly #indexes: ReadonlyMap<number, number>;
  readonly #taken: readonly boolean[];

  static async start(stream: Stream, consumer: Consumer, signal: AbortSignal, sink: SourceSink): Promise<Forwarder> {
    const tracks = await knownFormats(stream, consumer.tracks, signal);
    signal.throwIfAborted();
    const taken = sink.describe({
      tracks: tracks.map(({ kind, codec, format }) => ({
        kind,
        codec,
        clockRateHz: format?.clockRateHz ?? 90_000,
        format,
      })),
      formatName: 'stream',
      protocol: 'internal',
      remoteAddr: stream.name,
      sharedClock: true,
    });
    const forwarder = new Forwarder(sink, consumer, new Map(tracks.map(({ id }, index) => [id, index])), taken);
    // Its last key frame and what followed, so that this stream too starts at once.
    stream.settle();
    forwarder.push(stream.gop().units);
    return forwarder;
  }

  private constructor(
    sink: SourceSink,
    consumer: Consumer,
    indexes: ReadonlyMap<number, number>,
    taken: readonly boolean[],
  ) {
    this.#sink = sink;
    this.#consumer = consumer;
    this.#indexes = indexes;
    this.#taken = taken;
  }

  push(units: readonly AccessUnit[]): void {
    let bytes = 0;
    for (const unit of units) {
      const track = this.#indexes.get(unit.trackId);
      if (track === undefined || this.#taken[track] !== true) continue;
      const { format, pts, dts, key, data, wallMs } = unit;
      this.#sink.sync(track, pts, wallMs);
      this.#sink.unit({ track, format, ticks: pts, decodeTicks: dts, key, data });
      bytes += data.length;
      this.#consumer.unitsSent++;
    }
    this.#consumer.bytesSent += bytes;
    if (bytes === 0) return;
    this.#sink.alive(bytes);
    this.#sink.flush();
  }
}
