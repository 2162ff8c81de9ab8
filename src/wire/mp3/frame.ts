/** The header of an MPEG audio frame (ISO/IEC 11172-3 §2.4.2.3, ISO/IEC 13818-3; MPEG-2.5 as everybody reads it). */
export interface Mp3Header {
  /** Header and payload. */
  readonly frameBytes: number;
  readonly samples: number;
  readonly sampleRateHz: number;
  readonly channels: 1 | 2;
  readonly layer: 1 | 2 | 3;
}

const RATES = [44_100, 48_000, 32_000] as const;
/** Kilobits per second by bit rate index 1…14. */
const MPEG1 = {
  1: [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  2: [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  3: [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
} as const;
const MPEG2 = {
  1: [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  2: [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  3: [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
} as const;

/** Null where no frame begins: no sync word, reserved values, or the free format, whose length is not written. */
export function readMp3Header(data: Uint8Array, at = 0): Mp3Header | null {
  const b1 = data[at + 1] ?? 0;
  const b2 = data[at + 2] ?? 0;
  if (at + 4 > data.length || data[at] !== 0xff || (b1 & 0xe0) !== 0xe0) return null;
  const version = (b1 >> 3) & 3; // 0: MPEG-2.5, 2: MPEG-2, 3: MPEG-1
  const layerBits = (b1 >> 1) & 3;
  const baseRateHz = RATES[(b2 >> 2) & 3];
  if (version === 1 || layerBits === 0 || baseRateHz === undefined) return null;
  const layer = layerBits === 3 ? 1 : layerBits === 2 ? 2 : 3;
  const kilobits = (version === 3 ? MPEG1 : MPEG2)[layer][(b2 >> 4) - 1];
  if (kilobits === undefined) return null;
  const sampleRateHz = version === 3 ? baseRateHz : version === 2 ? baseRateHz / 2 : baseRateHz / 4;
  const padding = (b2 >> 1) & 1;
  const samples = layer === 1 ? 384 : layer === 3 && version !== 3 ? 576 : 1152;
  const frameBytes =
    layer === 1
      ? (Math.floor((12_000 * kilobits) / sampleRateHz) + padding) * 4
      : Math.floor(((samples / 8) * kilobits * 1000) / sampleRateHz) + padding;
  return { frameBytes, samples, sampleRateHz, channels: (data[at + 3] ?? 0) >> 6 === 3 ? 1 : 2, layer };
}
