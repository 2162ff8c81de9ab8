import type { ConsumerInfo } from '../../core/consumer.ts';
import { type KeyFrame, withKeyFrame } from '../../core/key-frame.ts';
import { VIDEO_CLOCK_HZ } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import type { InitOptions } from '../../wire/mp4/init.ts';
import { mp4Mime } from '../../wire/mp4/mime.ts';
import { keyframeMp4 } from '../../wire/mp4/still.ts';

interface Still {
  readonly mime: string;
  readonly data: Buffer;
}

/**
 * A whole MP4 of the key frame that a viewer would start with now, or of the first one that comes.
 * @throws HearthcamError 504 when none comes in time, 5xx when the camera can't be reached
 */
export function stillMp4(stream: Stream, who: ConsumerInfo, timeoutMs: number, init: InitOptions): Promise<Still> {
  const limits = { codecs: ['h264', 'h265', 'av1', 'vp9'], timeoutMs } as const;
  const make = ({ format, data }: KeyFrame): Still => ({
    mime: mp4Mime([format]),
    data: keyframeMp4(format, data, VIDEO_CLOCK_HZ, init),
  });
  return withKeyFrame(stream, who, limits, make);
}
