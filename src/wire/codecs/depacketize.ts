import type { Codec, TrackFormat } from '../../core/media.ts';

/** What SDP says of one RTP medium. */
export interface RtpMedia {
  readonly codec: Codec;
  /** Encoding name of the rtpmap; tells RFC 3640 from LATM for AAC. Absent: worked out from `fmtp`. */
  readonly encoding?: string;
  readonly clockRateHz: number;
  /** 0 or 1 where the rtpmap doesn't say. */
  readonly channels: number;
  /** Parameters of `a=fmtp`; names are compared without regard to case. */
  readonly fmtp: ReadonlyMap<string, string>;
  readonly payloadType: number;
}

/** One access unit out of RTP; `data` as in `AccessUnit.data`. */
export interface DepacketizedUnit {
  readonly format: TrackFormat;
  /** Presentation time, unwrapped RTP ticks. */
  readonly ticks: number;
  readonly key: boolean;
  readonly data: Buffer;
}
export type OnUnit = (unit: DepacketizedUnit) => void;

/** RTP payloads in, access units out. Never throws on bad bytes: trouble goes to `onProblem` and is skipped. */
export interface Depacketizer {
  /** The format as far as it is known, for example from the SDP alone. */
  readonly format: TrackFormat | null;
  /**
   * @param payload valid only during the call
   * @param ticks RTP time stamp, unwrapped
   * @param lost packets are missing right before this one
   */
  push(payload: Buffer, marker: boolean, ticks: number, lost: boolean): void;
}

/** A parameter of `a=fmtp` by its name in lower case. */
export function fmtpValue(fmtp: ReadonlyMap<string, string>, name: string): string | undefined {
  const direct = fmtp.get(name);
  if (direct !== undefined) return direct;
  for (const [key, value] of fmtp) if (key.toLowerCase() === name) return value;
  return undefined;
}

/** A whole number parameter; undefined when absent or not a number. */
export function fmtpNumber(fmtp: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = fmtpValue(fmtp, name);
  return text !== undefined && /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : undefined;
}
