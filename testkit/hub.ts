import type { Consumer } from '../src/core/consumer.ts';
import { Hub } from '../src/core/hub.ts';
import type { AccessUnit, MediaKind } from '../src/core/media.ts';
import type { MediaWant } from '../src/core/negotiate.ts';
import { DEFAULT_TIMING, type ProducerTiming } from '../src/core/producer.ts';
import type { Remaker } from '../src/core/remaking.ts';
import type { SourceModule } from '../src/core/source.ts';
import type { Stream } from '../src/core/stream.ts';
import { MemoryLog } from './memory-log.ts';
import { waitFor } from './wait.ts';

export interface TestHub extends AsyncDisposable {
  readonly hub: Hub;
  readonly log: MemoryLog;
}

export interface TestHubOptions {
  readonly sources: readonly SourceModule[];
  /** Stream name → source texts. */
  readonly streams?: Readonly<Record<string, readonly string[]>>;
  readonly timing?: Partial<ProducerTiming>;
  readonly lingerMs?: number;
  readonly maxGopBytes?: number;
  /** Makes tracks that the sources don't give; gets the hub's log. */
  readonly makeRemaker?: (log: MemoryLog) => Remaker;
}

/** A hub for tests: short linger, log in memory. Closed by `await using`. */
export function makeTestHub(options: TestHubOptions): TestHub {
  const log = new MemoryLog();
  const hub = new Hub({
    log,
    sources: options.sources,
    ...(options.makeRemaker === undefined ? {} : { remaker: options.makeRemaker(log) }),
    timing: { ...DEFAULT_TIMING, ...options.timing },
    lingerMs: options.lingerMs ?? 50,
    ...(options.maxGopBytes === undefined ? {} : { maxGopBytes: options.maxGopBytes }),
  });
  for (const [name, texts] of Object.entries(options.streams ?? {})) hub.set(name, texts);
  return { hub, log, [Symbol.asyncDispose]: () => hub.close() };
}

export const ANY_VIDEO: MediaWant = { kind: 'video', codecs: 'any' };
export const ANY_AUDIO: MediaWant = { kind: 'audio', codecs: 'any' };

/** A viewer that keeps what it gets. */
export interface Collector extends Disposable {
  readonly consumer: Consumer;
  /** All units of the consumer's tracks, in order of delivery. */
  readonly units: AccessUnit[];
  /** One entry per delivery: how many units it had. */
  readonly bursts: number[];
  /** Set when the stream has ended for this consumer. */
  readonly ended: () => Error | undefined;
  of(kind: MediaKind): AccessUnit[];
  /** Waits for so many units of a kind (counted from the start of the collector); gives them all. */
  wait(kind: MediaKind, count: number, timeoutMs?: number): Promise<AccessUnit[]>;
}

/** Opens a consumer and collects what it is given, audio at once. `wants` default: any video and any audio. */
export async function collect(
  stream: Stream,
  wants: readonly MediaWant[] = [ANY_VIDEO, ANY_AUDIO],
): Promise<Collector> {
  let ended: Error | undefined;
  const units: AccessUnit[] = [];
  const bursts: number[] = [];
  let consumer: Consumer | undefined;
  const early: AccessUnit[][] = [];
  const take = (burst: readonly AccessUnit[]): void => {
    if (consumer === undefined) {
      early.push([...burst]);
      return;
    }
    const ids = new Set(consumer.tracks.map((track) => track.id));
    const mine = burst.filter((unit) => ids.has(unit.trackId));
    if (mine.length === 0) return;
    bursts.push(mine.length);
    units.push(...mine);
  };
  let unsubscribe = stream.subscribe(take, { immediate: true });
  try {
    consumer = await stream.open({
      formatName: 'test',
      protocol: 'test',
      remoteAddr: '',
      wants,
      onEnd: (reason) => {
        ended = reason;
      },
    });
  } catch (error) {
    unsubscribe();
    throw error;
  }
  const opened = consumer;
  if (opened.stream !== stream) {
    // It is made from another one: what it has so far is that of its last key frame on.
    unsubscribe();
    early.length = 0;
    opened.stream.settle();
    early.push([...opened.stream.gop().units]);
    unsubscribe = opened.stream.subscribe(take, { immediate: true });
  }
  for (const burst of early) take(burst);
  const of = (kind: MediaKind): AccessUnit[] => units.filter((unit) => unit.format.kind === kind);
  return {
    consumer: opened,
    units,
    bursts,
    ended: () => ended,
    of,
    wait: async (kind, count, timeoutMs = 20_000) => {
      await waitFor(() => of(kind).length >= count, { timeoutMs, what: `${count} ${kind} units of "${stream.name}"` });
      return of(kind);
    },
    [Symbol.dispose]: () => {
      unsubscribe();
      opened.close();
    },
  };
}
