import { WireError } from '../../core/errors.ts';
import { HARDWARE_CODECS, HARDWARE_KINDS, type HardwareCodec, type HardwareReport } from '../../core/hardware.ts';
import { IpcFields } from '../../core/process/ipc.ts';

const MAX_REPORTS = 50;

/**
 * Reports come from another process and from a file.
 * @throws WireError
 */
export function parseReport(value: unknown): HardwareReport {
  const fields = new IpcFields(value);
  const text = (name: string): Record<string, string> => (fields.has(name) ? { [name]: fields.text(name) } : {});
  return {
    kind: fields.oneOf('kind', HARDWARE_KINDS),
    device: fields.has('device') ? fields.text('device') || null : null,
    decode: parseCodecs(fields.text('decode')),
    encode: parseCodecs(fields.text('encode')),
    ...text('error'),
    ...text('hint'),
  };
}

/** As `formatReports` writes them. @throws WireError */
export function parseReports(text: string): readonly HardwareReport[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new WireError('hardware.reports', 'reports about hardware are JSON', 0, { cause: error });
  }
  if (!Array.isArray(value) || value.length > MAX_REPORTS) {
    throw new WireError('hardware.reports', 'reports about hardware are a list', 0);
  }
  return value.map(parseReport);
}

export function formatReports(reports: readonly HardwareReport[]): string {
  return JSON.stringify(reports.map(plainReport));
}

/** What `parseReport` reads. */
export function plainReport({ device, decode, encode, ...rest }: HardwareReport): object {
  return { ...rest, device: device ?? '', decode: decode.join(' '), encode: encode.join(' ') };
}

function parseCodecs(text: string): readonly HardwareCodec[] {
  const words = text.split(' ').filter((word) => word !== '');
  return HARDWARE_CODECS.filter((codec) => words.includes(codec));
}
