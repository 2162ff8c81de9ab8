import {
  parseSourceSpec,
  type SourceDescription,
  type SourceModule,
  type SourceSink,
  type SourceUnit,
} from '../src/core/source.ts';
import { MemoryLog } from './memory-log.ts';

export interface RecordedSync {
  readonly track: number;
  readonly ticks: number;
  readonly ntpMs: number;
}

/** A sink that keeps what a source delivers. */
export class RecordingSink implements SourceSink {
  readonly descriptions: SourceDescription[] = [];
  readonly units: SourceUnit[] = [];
  readonly syncs: RecordedSync[] = [];
  bytes = 0;
  flushes = 0;
  /** Which kinds are taken. */
  takes: (kind: string) => boolean = () => true;
  /** Throws from `unit`, as a bug in an output would. */
  onUnit: (unit: SourceUnit) => void = () => {};

  describe(description: SourceDescription): readonly boolean[] {
    this.descriptions.push(description);
    return description.tracks.map((track) => this.takes(track.kind));
  }
  unit(unit: SourceUnit): void {
    this.units.push(unit);
    this.onUnit(unit);
  }
  flush(): void {
    this.flushes++;
  }
  alive(bytes: number): void {
    this.bytes += bytes;
  }
  sync(track: number, ticks: number, ntpMs: number): void {
    this.syncs.push({ track, ticks, ntpMs });
  }
}

export interface RunningSource extends AsyncDisposable {
  readonly sink: RecordingSink;
  readonly log: MemoryLog;
  /** How the run ended: undefined when it resolved. Never rejects. */
  readonly done: Promise<unknown>;
  abort(): void;
}

/** Runs a source once into a recording sink, without a hub. */
export function runSource(module: SourceModule, text: string, sink = new RecordingSink()): RunningSource {
  const controller = new AbortController();
  const log = new MemoryLog();
  const done = module
    .run({ spec: parseSourceSpec(text), streamName: 'porch', log, signal: controller.signal }, sink)
    .then(
      () => undefined,
      (error: unknown) => error,
    );
  return {
    sink,
    log,
    done,
    abort: () => controller.abort(new Error('aborted by the test')),
    [Symbol.asyncDispose]: async () => {
      controller.abort(new Error('end of the test'));
      await done;
    },
  };
}
