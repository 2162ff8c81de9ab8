import { openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { SecretMask } from '../core/secrets.ts';
import { createLog, LogRing } from '../logging/sink.ts';
import type { Terminal } from './main.ts';
import type { LogSettings } from './settings.ts';

/** For checks that must not write lines of their own. */
export const quietLog: Log = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => quietLog,
};

const DEFAULT_FILE = 'hearthcam.log';

/** Makes the log that the configuration asks for, and the ring that `/api/log` shows. */
export function openLog(settings: LogSettings, mask: SecretMask, terminal: Terminal): { log: Log; ring: LogRing } {
  const ring = new LogRing();
  const log = createLog({
    level: settings.level,
    moduleLevels: settings.moduleLevels,
    format: settings.format,
    write: writer(settings.output, terminal),
    mask: (text) => mask.mask(text),
    ring,
  });
  return { log, ring };
}

function writer(output: string, terminal: Terminal): (line: string) => void {
  if (output === '') return () => {};
  if (output === 'stderr') return (line) => void terminal.stderr.write(line);
  if (output === 'stdout') return (line) => void terminal.stdout.write(line);
  const name = /^file(?::(.*))?$/.exec(output);
  if (name === null) {
    throw new HearthcamError('config.log', `log.output: "${output}" is none of stdout, stderr, file:<path>, ""`, {
      status: 400,
    });
  }
  const path = resolve(terminal.cwd, name[1] === undefined || name[1] === '' ? DEFAULT_FILE : name[1]);
  try {
    const file = openSync(path, 'a', 0o640);
    return (line) => {
      try {
        writeSync(file, line);
      } catch {
        // A full disk must not stop the cameras; /api/log still has the line.
      }
    };
  } catch (error) {
    throw new HearthcamError('config.log', `log.output: "${path}" can't be written`, { status: 400, cause: error });
  }
}
