import { HARDWARE_NAMES, type HardwareReport, works } from '../core/hardware.ts';
import { HardwareService } from '../transcode/hardware/hardware.ts';
import { quietLog } from './log.ts';
import type { Terminal } from './main.ts';
import { VERSION } from './version.ts';

/** Where what was found about the hardware is kept (XDG base directories); null where there is no home. */
export function hardwareCacheFile(env: Terminal['env']): string | null {
  const cache = env['XDG_CACHE_HOME'];
  const home = env['HOME'];
  if (cache?.startsWith('/') === true) return `${cache}/hearthcam/hardware.json`;
  return home?.startsWith('/') === true ? `${home}/.cache/hearthcam/hardware.json` : null;
}

/** `hearthcam check --hardware`: tries everything anew, and says what works, why not, and what to do. */
export async function checkHardware(terminal: Terminal): Promise<number> {
  const cacheFile = hardwareCacheFile(terminal.env);
  const service = new HardwareService({ log: quietLog, cacheFile, version: VERSION });
  terminal.stdout.write(hardwareTable(await service.tryAgain()));
  return 0;
}

export function hardwareTable(reports: readonly HardwareReport[]): string {
  const rows = reports.map(({ kind, device, decode, encode }) => [
    HARDWARE_NAMES[kind],
    kind,
    device ?? '-',
    words(decode),
    words(encode),
  ]);
  const head = ['Hardware', 'Setting', 'Device', 'Decodes', 'Codes'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const reasons = reports.flatMap(({ kind, device, error, hint }) => {
    if (error === undefined) return [];
    const name = device === null ? HARDWARE_NAMES[kind] : `${HARDWARE_NAMES[kind]} ${device}`;
    return [`${name}: ${error}`, ...(hint === undefined ? [] : [`  -> ${hint}`])];
  });
  const best = reports.find(works);
  const verdict =
    best === undefined
      ? 'Pictures are decoded and coded by the processor.'
      : `Used by default: ${HARDWARE_NAMES[best.kind]} (transcode.hardware: auto).`;
  return `${[line(head), ...rows.map(line), '', ...reasons, ...(reasons.length > 0 ? [''] : []), verdict].join('\n')}\n`;
}

function words(codecs: readonly string[]): string {
  return codecs.join(', ') || '-';
}
