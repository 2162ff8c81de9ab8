import { type AudioFormat, EMPTY, type VideoFormat } from '../src/core/media.ts';
import type { SourceDescription, SourceModule, SourceRequest, SourceSink } from '../src/core/source.ts';

/** One connection that a test plays the camera for. */
export interface ScriptedConnection {
  readonly request: SourceRequest;
  readonly sink: SourceSink;
  /** What `describe` answered: which tracks are taken. */
  taken: readonly boolean[];
  describe(description?: Partial<SourceDescription>): void;
  /** A picture of track 0 at `atMs` of the camera's clock. */
  picture(atMs: number, key: boolean, bytes?: number): void;
  /** An audio frame of the track with that index. */
  audio(track: number, atMs: number): void;
  /** Ends the connection: without an error as if the camera closed it. */
  end(error?: Error): void;
}

export interface ScriptedSource {
  readonly module: SourceModule;
  readonly connections: ScriptedConnection[];
}

export function videoFormat(over: Partial<VideoFormat> = {}): VideoFormat {
  return {
    kind: 'video',
    codec: 'h264',
    clockRateHz: 90_000,
    width: 640,
    height: 360,
    codecString: 'avc1.42001e',
    parameterSets: { vps: [], sps: [EMPTY], pps: [EMPTY] },
    config: EMPTY,
    reorderDepth: 0,
    ...over,
  };
}

export function audioFormat(over: Partial<AudioFormat> = {}): AudioFormat {
  return {
    kind: 'audio',
    codec: 'pcma',
    clockRateHz: 8_000,
    sampleRateHz: 8_000,
    channels: 1,
    codecString: 'pcma',
    config: EMPTY,
    ...over,
  };
}

/** A source whose connections the test drives by hand. `refuse` rejects a dial with the error it returns. */
export function scriptedSource(
  scheme: string,
  options: { refuse?: (dial: number) => Error | undefined } = {},
): ScriptedSource {
  const connections: ScriptedConnection[] = [];
  let dials = 0;
  const module: SourceModule = {
    name: scheme,
    schemes: [scheme],
    run(request, sink) {
      const refused = options.refuse?.(++dials);
      if (refused !== undefined) return Promise.reject(refused);
      return new Promise<void>((resolve, reject) => {
        const video = videoFormat();
        const audio = audioFormat();
        const connection: ScriptedConnection = {
          request,
          sink,
          taken: [],
          describe(description = {}) {
            connection.taken = sink.describe({
              tracks: [{ kind: 'video', codec: 'h264', clockRateHz: 90_000, format: null }],
              formatName: 'test',
              protocol: 'test',
              remoteAddr: '192.0.2.1:1',
              sharedClock: true,
              ...description,
            });
          },
          picture(atMs, key, bytes = 100) {
            sink.alive(bytes);
            sink.unit({ track: 0, format: video, ticks: atMs * 90, key, data: Buffer.alloc(bytes) });
            sink.flush();
          },
          audio(track, atMs) {
            sink.alive(10);
            sink.unit({ track, format: audio, ticks: atMs * 8, key: true, data: Buffer.alloc(10) });
            sink.flush();
          },
          end(error) {
            if (error === undefined) resolve();
            else reject(error);
          },
        };
        request.signal.addEventListener('abort', () => resolve(), { once: true });
        connections.push(connection);
      });
    },
  };
  return { module, connections };
}
