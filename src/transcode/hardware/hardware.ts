import { release } from 'node:os';
import { describeError } from '../../core/errors.ts';
import {
  HARDWARE_CODECS,
  HARDWARE_KINDS,
  HARDWARE_NAMES,
  type HardwareCodec,
  type HardwareFinder,
  type HardwareReport,
  works,
} from '../../core/hardware.ts';
import type { Log } from '../../core/log.ts';
import type { VideoCodec } from '../../core/media.ts';
import type { Hardware } from '../../core/targets.ts';
import { HardwareCache } from './cache.ts';
import { type Candidate, type Looked, lookForHardware } from './look.ts';
import { tryHardware } from './trial.ts';

export interface HardwareOptions {
  readonly log: Log;
  /** Where the result is kept from one start to the next; null: nowhere. */
  readonly cacheFile: string | null;
  /** Of the libraries and of this program: another may find something else. */
  readonly version: string;
  /** For tests. */
  readonly look?: () => Looked;
  readonly attempt?: (candidate: Candidate) => Promise<HardwareReport>;
}

/**
 * What hardware this machine codes pictures with. Nothing is done before somebody asks; then it is known at once where
 * no device is there, and after the trials (each in a process of its own) where one is.
 */
export class HardwareService implements HardwareFinder {
  readonly #options: HardwareOptions;
  #known: readonly HardwareReport[] | null = null;
  /** What this machine may have. */
  #looked: Looked | undefined;
  #finding: Promise<readonly HardwareReport[]> | undefined;

  constructor(options: HardwareOptions) {
    this.#options = options;
  }

  /** Null while it is being found out; begins with that. */
  get known(): readonly HardwareReport[] | null {
    if (this.#known === null) void this.reports();
    return this.#known;
  }

  reports(): Promise<readonly HardwareReport[]> {
    this.#finding ??= this.#find(true);
    return this.#finding;
  }

  /** Tries everything, whatever was known. */
  async tryAgain(): Promise<readonly HardwareReport[]> {
    await this.#finding;
    this.#finding = this.#find(false);
    return this.#finding;
  }

  /**
   * Whether both decoding the one and coding the other works without the processor; half of it would leave half of the
   * computing. False until it is known.
   */
  makes(setting: Hardware | 'off', from: VideoCodec, to: VideoCodec): boolean {
    const usable = this.usable(setting);
    return (
      usable.some(({ decode }) => isTried(from) && decode.includes(from)) &&
      usable.some(({ encode }) => isTried(to) && encode.includes(to))
    );
  }

  /** What may be used, best first; nothing until it is known. */
  usable(setting: Hardware | 'off'): readonly HardwareReport[] {
    if (setting === 'off') return [];
    const reports = this.known ?? [];
    return reports.filter((report) => works(report) && (setting === 'auto' || report.kind === setting));
  }

  /** Why hardware of this kind can't be used here; null when it can, or nothing is known yet. Begins no trial. */
  problem(kind: Hardware): string | null {
    if (kind === 'auto') return null;
    this.#looked ??= this.#look();
    const { candidates, absent } = this.#looked;
    const isThere = candidates.some((one) => one.kind === kind);
    if (isThere && (this.#known === null || this.#known.some((one) => one.kind === kind && works(one)))) return null;
    const report = (isThere ? (this.#known ?? []) : absent).find((one) => one.kind === kind);
    const hint = report?.hint === undefined ? '' : `; ${report.hint}`;
    return `${HARDWARE_NAMES[kind]} does not work on this machine: ${report?.error ?? 'nothing was found'}${hint}`;
  }

  #find(fromCache: boolean): Promise<readonly HardwareReport[]> {
    const looked = this.#look();
    this.#looked = looked;
    // Without a device there is nothing to wait for.
    if (looked.candidates.length === 0) {
      const reports = sorted(looked.absent);
      this.#known = reports;
      return Promise.resolve(reports);
    }
    return this.#try(looked, fromCache);
  }

  #look(): Looked {
    return (this.#options.look ?? lookForHardware)();
  }

  async #try(looked: Looked, fromCache: boolean): Promise<readonly HardwareReport[]> {
    const { log, cacheFile, version } = this.#options;
    const cache = new HardwareCache(cacheFile, `${version}|${release()}|${looked.fingerprint}`);
    const kept = fromCache ? await cache.read() : null;
    if (kept !== null) {
      this.#known = sorted([...kept, ...looked.absent]);
      return this.#known;
    }
    const attempt = this.#options.attempt ?? ((candidate: Candidate) => tryHardware(candidate, { log }));
    const tried: HardwareReport[] = [];
    // One after the other: two drivers of one device at the same time are no fair trial.
    for (const candidate of looked.candidates) {
      const report = await attempt(candidate).catch((error: unknown): HardwareReport => {
        return { ...candidate, decode: [], encode: [], error: describeError(error) };
      });
      tried.push(report);
      log.info(`hardware: ${describeReport(report)}`);
    }
    const failure = await cache.write(tried);
    if (failure !== null) log.debug(`what was found about the hardware is not kept: ${describeError(failure)}`);
    this.#known = sorted([...tried, ...looked.absent]);
    return this.#known;
  }
}

function isTried(codec: VideoCodec): codec is HardwareCodec {
  const tried: readonly VideoCodec[] = HARDWARE_CODECS;
  return tried.includes(codec);
}

/** Those that do most first, so that pictures stay in one device. */
function sorted(reports: readonly HardwareReport[]): readonly HardwareReport[] {
  const score = ({ kind, decode, encode }: HardwareReport): number =>
    HARDWARE_KINDS.indexOf(kind) - 10 * (decode.length + encode.length);
  return [...reports].sort((one, other) => score(one) - score(other));
}

/** In one line, for the log. */
export function describeReport(report: HardwareReport): string {
  const { kind, device, decode, encode, error } = report;
  const name = device === null ? HARDWARE_NAMES[kind] : `${HARDWARE_NAMES[kind]} (${device})`;
  const words = (codecs: readonly HardwareCodec[]): string => codecs.join(', ') || 'nothing';
  const does = works(report) ? `decodes ${words(decode)}, codes ${words(encode)}` : 'does not work';
  return `${name} ${does}${error === undefined ? '' : `: ${error}`}`;
}
