import type { Hardware } from './targets.ts';

/** Kinds of hardware that can be looked for. */
export type HardwareKind = Exclude<Hardware, 'auto'>;
/** Codecs that hardware is tried with. */
export type HardwareCodec = 'h264' | 'h265';

/** Best first, where several work: the ones that keep pictures in their own memory, then by how common they are. */
export const HARDWARE_KINDS: readonly HardwareKind[] = ['cuda', 'vaapi', 'qsv', 'rkmpp', 'v4l2m2m'];
export const HARDWARE_CODECS: readonly HardwareCodec[] = ['h264', 'h265'];

/** As they are told to the owner. */
export const HARDWARE_NAMES: Readonly<Record<HardwareKind, string>> = {
  cuda: 'NVIDIA (CUDA)',
  vaapi: 'VAAPI',
  qsv: 'Intel Quick Sync',
  rkmpp: 'Rockchip MPP',
  v4l2m2m: 'V4L2 M2M',
};

/** What hardware of one kind does on this machine, by trying. */
export interface HardwareReport {
  readonly kind: HardwareKind;
  /** File of the device, where there are several of the kind. */
  readonly device: string | null;
  /** What came out as it should. */
  readonly decode: readonly HardwareCodec[];
  readonly encode: readonly HardwareCodec[];
  /** In words: why nothing works, or what of it does not. */
  readonly error?: string;
  /** What the owner can do about it. */
  readonly hint?: string;
}

/** For those who show what was found. Implemented by `src/transcode`. */
export interface HardwareFinder {
  /** Looks and tries when nothing is known yet, which takes some seconds at most. Never rejects. */
  reports(): Promise<readonly HardwareReport[]>;
}

export function works(report: HardwareReport): boolean {
  return report.decode.length + report.encode.length > 0;
}
