import { constants } from 'node:os';
import { HearthcamError } from '../../core/errors.ts';
import { type SourceSpec, specParam } from '../../core/source.ts';
import { splitCommand } from './command.ts';

/** An `exec:` source taken apart (compatibility.md 3). */
export interface ExecSpec {
  /** Program and arguments; `{output}` is still in them. */
  readonly words: readonly string[];
  /** The program publishes by RTSP instead of writing to its stdout. */
  readonly publishes: boolean;
  readonly killSignal: NodeJS.Signals;
  /** From the signal until it is ended by force. */
  readonly killTimeoutMs: number;
  /** From its start until its media is there. */
  readonly startTimeoutMs: number;
  /** `#` parameters that say nothing here. */
  readonly unknown: readonly string[];
}

export const OUTPUT = '{output}';

const PREFIX = 'exec:';
const DEFAULT_START_S = 30;
/** Home Assistant and Docker give the whole server 5 and 10 s to end. */
const DEFAULT_KILL_S = 2;
const MAX_TIMEOUT_S = 3600;
const KNOWN: ReadonlySet<string> = new Set(['killsignal', 'killtimeout', 'starttimeout', 'media']);

/** @throws HearthcamError 400 that says what can't be used and why */
export function parseExecSpec(spec: SourceSpec): ExecSpec {
  for (const key of ['backchannel', 'audio'] as const) {
    if (!spec.params.has(key) || specParam(spec, key) === '0') continue;
    throw new HearthcamError('exec.talk', `exec: with #${key} is for talking to a program, which is not offered`, {
      status: 400,
      hint: 'leave this source out; the others of the stream are used',
    });
  }
  const words = splitCommand(spec.url.slice(PREFIX.length));
  return {
    words,
    publishes: words.some((word) => word.includes(OUTPUT)),
    killSignal: readSignal(specParam(spec, 'killsignal')),
    killTimeoutMs: readSeconds(spec, 'killtimeout', DEFAULT_KILL_S),
    startTimeoutMs: readSeconds(spec, 'starttimeout', DEFAULT_START_S),
    unknown: [...spec.params.keys()].filter((key) => !KNOWN.has(key)),
  };
}

/** By number as go2rtc has it (`15`), or by name (`SIGINT`, `int`). */
function readSignal(text: string | undefined): NodeJS.Signals {
  if (text === undefined || text === '') return 'SIGTERM';
  const name = text.toUpperCase().replace(/^(?!SIG)/, 'SIG');
  for (const [known, number] of Object.entries(constants.signals)) {
    // Checked border: the keys of this table are the names of signals.
    if (known === name || String(number) === text) return known as NodeJS.Signals;
  }
  throw new HearthcamError('exec.signal', `#killsignal=${text} is no signal`, {
    status: 400,
    hint: 'write its number or its name, for example #killsignal=15 or #killsignal=SIGINT',
  });
}

function readSeconds(spec: SourceSpec, key: string, fallback: number): number {
  const text = specParam(spec, key);
  // go2rtc takes whole seconds; `5s` is what its documents show as well.
  const seconds = text === undefined ? fallback : Number(text.replace(/s$/, ''));
  if (text !== '' && seconds > 0 && seconds <= MAX_TIMEOUT_S) return seconds * 1000;
  throw new HearthcamError('exec.timeout', `#${key}=${text} is not a number of seconds from 0 to ${MAX_TIMEOUT_S}`, {
    status: 400,
  });
}
