import { describeError, HearthcamError } from '../../core/errors.ts';
import { HARDWARE_NAMES, type HardwareReport } from '../../core/hardware.ts';
import type { Log } from '../../core/log.ts';
import { HelperProcess } from '../../core/process/helper.ts';
import { IpcFields, type IpcMessage } from '../../core/process/ipc.ts';
import type { Candidate } from './look.ts';
import { parseReport } from './report.ts';

export interface TrialOptions {
  readonly log: Log;
  /** A driver that takes longer hangs: its process is killed. */
  readonly timeoutMs?: number;
  /** For tests: another program than that of `hardware/process`. */
  readonly folder?: string;
}

/** Loading the libraries and waking a device takes a second or two on a small machine. */
const TIMEOUT_MS = 10_000;

/**
 * Tries one device in a process of its own, which ends with it: a driver that crashes or hangs costs that process.
 * Never rejects: what goes wrong is the report.
 */
export function tryHardware(candidate: Candidate, options: TrialOptions): Promise<HardwareReport> {
  const { log, timeoutMs = TIMEOUT_MS } = options;
  const { kind, device } = candidate;
  return new Promise((resolve) => {
    let done = false;
    let helper: HelperProcess | undefined;
    /** What was found before the driver failed counts: it may be used for that. */
    let found: Pick<HardwareReport, 'decode' | 'encode'> = { decode: [], encode: [] };
    const finish = (report: HardwareReport): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      helper?.[Symbol.asyncDispose]().catch((error: unknown) => log.debug(describeError(error)));
      resolve(report);
    };
    const fail = (error: string, hint?: string): void => {
      finish({ kind, device, ...found, error, ...(hint === undefined ? {} : { hint }) });
    };
    const timer = setTimeout(() => {
      const text = `the driver gave no answer for ${Math.round(timeoutMs / 1000)} s`;
      helper?.kill(new HearthcamError('codec.hangs', `trying ${HARDWARE_NAMES[kind]}: ${text}`, { status: 504 }));
      fail(text, CRASH_HINT);
    }, timeoutMs);
    const onMessage = (message: IpcMessage): void => {
      const fields = new IpcFields(message.header);
      const type = fields.oneOf('type', ['partial', 'report', 'unavailable']);
      if (type === 'report') finish(parseReport(message.header));
      else if (type === 'partial') {
        const { decode, encode } = parseReport(message.header);
        found = { decode, encode };
      } else {
        const hint = 'the package node-av is missing or not made for this machine: install again';
        fail(`FFmpeg's libraries can't be loaded: ${fields.text('message')}`, hint);
      }
    };
    try {
      helper = new HelperProcess({
        name: `trial of ${HARDWARE_NAMES[kind]}`,
        folder: options.folder ?? 'transcode/hardware',
        log,
        onMessage,
        onExit: (reason) => fail(`the driver ended the process that tried it: ${describeError(reason)}`, CRASH_HINT),
      });
      helper.send({ kind, device: device ?? '' });
    } catch (error) {
      fail(`it can't be tried: ${describeError(error)}`);
    }
  });
}

const CRASH_HINT = 'update the graphics driver, or set transcode.hardware to another kind';
