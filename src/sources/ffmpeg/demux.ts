import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeError, HearthcamError } from '../../core/errors.ts';
import { HelperProcess } from '../../core/process/helper.ts';
import type { SourceModule, SourceRequest, SourceSink, SourceSpec, SourceTrack } from '../../core/source.ts';
import { specParam } from '../../core/source.ts';
import { type FromDemuxer, type OpenOrder, parseFromDemuxer } from './demux-protocol.ts';
import { isVideoCodec, makeUnitReader, type UnitReader } from './demuxed-units.ts';

const DEFAULT_TIMEOUT_S = 5;

/** Files, and addresses that only FFmpeg reads: in a process of their own, so that none endangers the server. */
export function demuxerSource(loop: boolean): SourceModule {
  return {
    name: 'ffmpeg demuxer',
    schemes: ['file', 'rtmp', 'udp'],
    run: (request, sink) => demux(orderOf(request.spec, loop), request, sink),
  };
}

function orderOf(spec: SourceSpec, loop: boolean): OpenOrder {
  const seconds = Number(specParam(spec, 'timeout') ?? DEFAULT_TIMEOUT_S);
  const timeoutMs = seconds > 0 && seconds <= 600 ? Math.round(seconds * 1000) : DEFAULT_TIMEOUT_S * 1000;
  const isFile = spec.scheme === 'file' || !spec.url.includes('://');
  return { url: isFile ? `file:${filePath(spec.url)}` : spec.url, loop: loop && isFile, paced: isFile, timeoutMs };
}

/** @throws HearthcamError for an address that is no file of this machine */
function filePath(url: string): string {
  if (!/^file:/i.test(url)) return resolve(url);
  if (!/^file:\/\//i.test(url)) return resolve(url.slice('file:'.length));
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new HearthcamError('source.ffmpeg', `ffmpeg: ${url} is no file of this machine`, {
      status: 400,
      permanent: true,
      cause: error,
    });
  }
}

async function demux(order: OpenOrder, request: SourceRequest, sink: SourceSink): Promise<void> {
  const { signal, log } = request;
  signal.throwIfAborted();
  const over = Promise.withResolvers<void>();
  const receiver = new Receiver(order, request, sink);
  const helper = new HelperProcess({
    name: `reader of ${request.streamName}`,
    folder: 'sources/ffmpeg',
    passesOn: true,
    log,
    onMessage: (message) => {
      if (signal.aborted) return;
      const parsed = parseFromDemuxer(message);
      const end = receiver.take(parsed);
      if (end !== null) over.reject(end);
    },
    onExit: (reason) => over.reject(reason),
  });
  helper.send(order);
  const onAbort = (): void => over.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await over.promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await helper[Symbol.asyncDispose]();
  }
}

/** Turns what the process sends into units of the source. */
class Receiver {
  readonly #order: OpenOrder;
  readonly #request: SourceRequest;
  readonly #sink: SourceSink;
  #readers: readonly UnitReader[] = [];
  #problems = 0;

  constructor(order: OpenOrder, request: SourceRequest, sink: SourceSink) {
    this.#order = order;
    this.#request = request;
    this.#sink = sink;
  }

  /** @returns why it is over, or null when it goes on */
  take(message: FromDemuxer): HearthcamError | null {
    switch (message.type) {
      case 'tracks':
        return this.#describe(message);
      case 'unit': {
        const { track, pts, dts, key, data } = message;
        this.#sink.alive(data.length);
        const unit = this.#readers[track]?.read(data, key) ?? null;
        if (unit === null) return null;
        this.#sink.unit({ track, ...unit, ticks: pts, decodeTicks: dts });
        this.#sink.flush();
        return null;
      }
      case 'waiting':
        this.#sink.alive(0);
        return null;
      case 'end':
        return new HearthcamError('source.ended', this.#order.paced ? 'the file is over' : 'the sender ended it', {
          status: 502,
          permanent: this.#order.paced,
          ...(this.#order.paced ? { hint: 'write #loop to have it begin again' } : {}),
        });
      case 'failed': {
        const what = { open: 'it can not be opened', media: 'it can not be shown', broken: 'it can not be read on' };
        return new HearthcamError('source.ffmpeg', `ffmpeg: ${what[message.fault]}: ${message.message}`, {
          status: 502,
          permanent: message.fault === 'media',
        });
      }
      case 'unavailable':
        this.#request.log.error(`FFmpeg's libraries can't be loaded: ${message.message}`);
        return new HearthcamError('codec.unavailable', 'files can not be read on this machine', {
          status: 501,
          permanent: true,
          hint: 'the package node-av is missing or not made for this machine: install again, see the log',
        });
      default:
        return message satisfies never;
    }
  }

  #describe({ tracks, made, formatName }: Extract<FromDemuxer, { type: 'tracks' }>): HearthcamError | null {
    for (const one of made) this.#request.log.info(`camera "${this.#request.streamName}": ${one}`);
    try {
      this.#readers = tracks.map((track) => makeUnitReader(track, ({ message }) => this.#problem(message)));
    } catch (error) {
      const options = { status: 502, permanent: true, cause: error };
      return new HearthcamError('source.ffmpeg', `ffmpeg: it can not be shown: ${describeError(error)}`, options);
    }
    this.#sink.describe({
      tracks: tracks.map(({ codec, clockRateHz }, index): SourceTrack => {
        const kind = isVideoCodec(codec) ? 'video' : 'audio';
        return { kind, codec, clockRateHz, format: this.#readers[index]?.format ?? null };
      }),
      formatName,
      protocol: this.#order.paced ? 'file' : 'ffmpeg',
      remoteAddr: '',
      sharedClock: true,
    });
    return null;
  }

  #problem(message: string): void {
    this.#problems++;
    if (this.#problems === 1) this.#request.log.warn(`camera "${this.#request.streamName}": damaged: ${message}`);
  }
}
