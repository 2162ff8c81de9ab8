import type { VideoFormat } from '../../core/media.ts';
import { fragment } from './fragment.ts';
import { type InitOptions, initSegment } from './init.ts';

/** A whole MP4 with one key frame that is shown for `durationTicks` (90 kHz). */
export function keyframeMp4(format: VideoFormat, data: Buffer, durationTicks: number, options?: InitOptions): Buffer {
  const init = initSegment([{ id: 1, format }], options);
  const sample = { data, durationTicks, offsetTicks: 0, key: true };
  return Buffer.concat([init, fragment(1, [{ trackId: 1, decodeTicks: 0, samples: [sample] }])]);
}
