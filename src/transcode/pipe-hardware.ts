import type { HardwareReport } from '../core/hardware.ts';
import type { Log } from '../core/log.ts';
import type { Hardware, Target } from '../core/targets.ts';
import type { HardwareService } from './hardware/hardware.ts';

export interface PipeHardwareOptions {
  readonly service: HardwareService;
  /** The owner's, in force now. */
  readonly setting: () => Hardware | 'off';
  readonly log: Log;
  /** How the picture is called in the log, e.g. `"nursery"`. */
  readonly name: string;
  /** For tests. */
  readonly waitMs?: number;
}

/** What is not known by then is done by software: nobody waits for a driver that hangs. */
const WAIT_MS = 4_000;

/** What one pipe may have done by hardware. */
export class PipeHardware {
  readonly #options: PipeHardwareOptions;
  /** A process died or hung that worked with it. */
  #distrusted = false;
  #used = false;
  #told = false;

  constructor(options: PipeHardwareOptions) {
    this.#options = options;
  }

  /** Calls `go` at once, or when it is known what works here. */
  whenKnown(go: () => void): void {
    const { service, setting, waitMs = WAIT_MS } = this.#options;
    if (setting() === 'off' || service.known !== null) {
      go();
      return;
    }
    let gone = false;
    const once = (): void => {
      clearTimeout(timer);
      if (!gone) go();
      gone = true;
    };
    const timer = setTimeout(once, waitMs);
    void service.reports().then(once);
  }

  /** A process begins. @param died whether the one before died or hung */
  onStart(died: boolean): void {
    if (!died || !this.#used || this.#distrusted) return;
    this.#distrusted = true;
    const { log, name } = this.#options;
    log.warn(`the process that worked on ${name} with hardware died: it is done by software as long as it is watched`);
  }

  /** What the process is told that it may use. */
  reports(): readonly HardwareReport[] {
    const { service, setting } = this.#options;
    // A target may name another kind than the owner's usual one.
    const reports = this.#distrusted || setting() === 'off' ? [] : service.usable('auto');
    this.#used = reports.length > 0;
    return reports;
  }

  /** As the process is asked for it: with `hardware` where that is to be used, without it where not. */
  order(target: Target): Target {
    if (target.kind !== 'video') return target;
    const { hardware: asked, ...rest } = target;
    const { service, setting } = this.#options;
    const usual = setting();
    if (asked !== undefined && !this.#distrusted) this.#warnOnce(asked, usual);
    const hardware = asked ?? usual;
    const use = usual !== 'off' && hardware !== 'off' && service.usable(hardware).length > 0 && !this.#distrusted;
    return use ? { ...rest, hardware } : rest;
  }

  #warnOnce(asked: Hardware, usual: Hardware | 'off'): void {
    const { service, log, name } = this.#options;
    if (this.#told || (usual !== 'off' && service.usable(asked).length > 0)) return;
    this.#told = true;
    const why = usual === 'off' ? 'transcode.hardware is off' : (service.problem(asked) ?? 'none was found that works');
    log.warn(`${name} asks for hardware (${asked}), but ${why}: software does it`);
  }
}
