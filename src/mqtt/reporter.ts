import { VideoRates } from '../core/bitrate.ts';
import type { Env } from '../core/contracts.ts';
import type { EarStatus, EventMessage, SoundLevel } from '../core/events.ts';
import type { Board } from './board.ts';
import type { Session } from './connection.ts';
import { type DeviceConfig, deviceConfig, removalConfig, type StreamState } from './discovery.ts';
import type { TodayCounters } from './today.ts';
import type { CameraTopics, Topics } from './topics.ts';

/** So long after the start a camera that nothing listens to is told as such: who listens may start later than we do. */
const SETTLE_MS = 10_000;
/** Absent so many times in a row is gone: a configuration that is read again takes listeners away for a moment. */
const GONE_TICKS = 2;
const LEVEL_EVERY_MS = 950;
const SAME_LEVEL_EVERY_MS = 10_000;
const SAME_LEVEL_DB = 1;
const BIT_RATE_EVERY_MS = 30_000;

export interface ReporterOptions {
  readonly env: Pick<Env, 'hub' | 'cameras' | 'events' | 'product'>;
  readonly topics: Topics;
  readonly board: Board;
  readonly today: TodayCounters;
  /** Whether Home Assistant is told about the cameras. */
  readonly discovery: boolean;
  readonly settleMs?: number;
}

interface Device {
  readonly topics: CameraTopics;
  config: DeviceConfig | null;
  ear: EarStatus | null;
  missingTicks: number;
  earMissingTicks: number;
  /** 0…100; null while nothing cries. */
  confidence: number | null;
  bitRateKbps: number;
  bitRateMs: number;
  stream: StreamState;
  level: { readonly atMs: number; readonly dba: number } | null;
}

/** Keeps the broker told about what each camera is and does now: the retained topics, and Home Assistant's devices. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #devices = new Map<string, Device>();
  readonly #rates = new VideoRates();
  readonly #startMs = performance.now();
  #session: Session | null = null;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  get cameras(): readonly string[] {
    return [...this.#devices.keys()];
  }

  attach(session: Session): void {
    this.#session = session;
  }

  /** Looks at what there is: to be called every few seconds. */
  tick(): void {
    const { cameras, events } = this.#options.env;
    const ears = new Map((events.ears?.all() ?? []).map((ear) => [ear.camera, ear]));
    const present = new Set([...Object.keys(cameras.all()), ...ears.keys()]);
    const settled = performance.now() - this.#startMs >= (this.#options.settleMs ?? SETTLE_MS);
    for (const camera of present) {
      if (this.#devices.has(camera) || ears.has(camera) || settled) this.#look(camera, ears.get(camera) ?? null);
    }
    for (const [camera, device] of this.#devices) {
      if (present.has(camera)) device.missingTicks = 0;
      else if (++device.missingTicks >= GONE_TICKS) this.#remove(camera, device);
    }
  }

  takeEar(ear: EarStatus): void {
    this.#look(ear.camera, ear);
  }

  takeEvent({ camera, detection, state, confidence }: EventMessage): void {
    const device = this.#devices.get(camera);
    if (device === undefined || detection !== 'cry') return;
    device.confidence = state === 'ended' ? null : Math.round(confidence * 100);
    this.#publishState(camera, device);
  }

  /** The loudness: told when it has changed, at most once a second, and now and then anyway. Never queued. */
  takeLevel({ camera, atMs, dbfs, dba }: SoundLevel): void {
    const device = this.#devices.get(camera);
    const session = this.#session;
    if (device === undefined || session === null || session.closed) return;
    const before = device.level;
    const passedMs = before === null ? Number.POSITIVE_INFINITY : performance.now() - before.atMs;
    const changed = before === null || Math.abs(dba - before.dba) >= SAME_LEVEL_DB;
    if (passedMs < (changed ? LEVEL_EVERY_MS : SAME_LEVEL_EVERY_MS)) return;
    device.level = { atMs: performance.now(), dba };
    const tenths = (value: number): number => Math.round(value * 10) / 10;
    const level = { camera, timestamp: new Date(atMs).toISOString(), dbfs: tenths(dbfs), dba: tenths(dba) };
    session.publish(device.topics.level, JSON.stringify(level), { qos: 0, retain: false }).catch(() => undefined);
  }

  /** Home Assistant has started: everything is told again, its devices first. */
  tellAgain(): void {
    for (const device of this.#devices.values()) device.level = null;
    this.#options.board.publishAll();
  }

  #look(camera: string, ear: EarStatus | null): void {
    const { topics, board } = this.#options;
    let device = this.#devices.get(camera);
    if (device === undefined) {
      device = {
        ...{ topics: topics.of(camera), config: null, ear, missingTicks: 0, earMissingTicks: 0, confidence: null },
        ...{ bitRateKbps: 0, bitRateMs: 0, stream: 'idle', level: null },
      };
      this.#devices.set(camera, device);
    }
    if (ear !== null) {
      device.ear = ear;
      device.earMissingTicks = 0;
    } else if (device.ear !== null && ++device.earMissingTicks >= GONE_TICKS) {
      this.#clearEar(device);
    }
    this.#announce(camera, device);
    this.#publishState(camera, device);
    const current = device.ear;
    if (current === null) return;
    board.set(device.topics.available, current.available && device.earMissingTicks === 0 ? 'online' : 'offline');
    board.set(device.topics.listening, current.listening ? 'ON' : 'OFF');
    board.set(device.topics.sensitivity, current.sensitivity);
  }

  #announce(camera: string, device: Device): void {
    const { topics, board, discovery, env } = this.#options;
    if (!discovery) return;
    const config = deviceConfig({ camera, topics, ear: device.ear, product: env.product });
    const removal = device.config === null ? null : removalConfig(device.config, config);
    if (removal !== null) board.announce(topics.discovery(camera), JSON.stringify(removal));
    device.config = config;
    board.set(topics.discovery(camera), JSON.stringify(config));
  }

  #publishState(camera: string, device: Device): void {
    this.#measure(camera, device);
    const { cries, minutes, lastCry } = this.#options.today.of(camera);
    const state = {
      ...(device.ear === null
        ? {}
        : {
            crying: device.confidence === null ? 'OFF' : 'ON',
            cry_confidence: device.confidence ?? 0,
            last_cry: lastCry,
            cries_today: cries,
            minutes_cried_today: minutes,
          }),
      stream: device.stream,
      bit_rate: device.bitRateKbps,
    };
    this.#options.board.set(device.topics.state, JSON.stringify(state));
  }

  /** The state of the camera's connections at once, their bit rate now and then: every value is a row in a database. */
  #measure(camera: string, device: Device): void {
    const { hub, cameras } = this.#options.env;
    const streams = cameras.variants(camera).flatMap((name) => hub.get(name) ?? []);
    const nowMs = performance.now();
    const running = streams.filter((stream) => stream.running);
    const wanted = streams.some((stream) => stream.consumers.size > 0);
    const stream = running.length > 0 ? 'online' : wanted || streams.length === 0 ? 'offline' : 'idle';
    const bps = running.reduce((sum, one) => sum + this.#rates.of(one, nowMs), 0);
    const first = device.bitRateKbps === 0 && bps > 0;
    if (stream !== device.stream || first || nowMs - device.bitRateMs >= BIT_RATE_EVERY_MS) {
      device.bitRateKbps = Math.round(bps / 10_000) * 10;
      device.bitRateMs = nowMs;
    }
    device.stream = stream;
  }

  #clearEar(device: Device): void {
    const { board } = this.#options;
    device.ear = null;
    device.confidence = null;
    for (const topic of [device.topics.available, device.topics.listening, device.topics.sensitivity])
      board.clear(topic);
  }

  #remove(camera: string, device: Device): void {
    const { topics, board, today } = this.#options;
    this.#devices.delete(camera);
    board.clear(topics.discovery(camera));
    this.#clearEar(device);
    board.clear(device.topics.state);
    board.clear(device.topics.snapshot);
    today.forget(camera);
  }
}
