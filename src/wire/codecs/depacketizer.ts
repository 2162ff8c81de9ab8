import { HearthcamError } from '../../core/errors.ts';
import { AacDepacketizer } from '../aac/depacketizer.ts';
import { LatmDepacketizer } from '../aac/latm-depacketizer.ts';
import { Av1Depacketizer } from '../av1/depacketizer.ts';
import { H264Depacketizer } from '../h264/depacketizer.ts';
import { H265Depacketizer } from '../h265/depacketizer.ts';
import { JpegDepacketizer } from '../jpeg/depacketizer.ts';
import { Vp8Depacketizer } from '../vp8/depacketizer.ts';
import { Vp9Depacketizer } from '../vp9/depacketizer.ts';
import { type Depacketizer, fmtpValue, type OnUnit, type RtpMedia } from './depacketize.ts';
import { Mp3Depacketizer } from './mp3.ts';
import type { OnProblem } from './nal-assembler.ts';
import { PlainDepacketizer } from './plain-depacketizer.ts';

export type { DepacketizedUnit, Depacketizer, OnUnit, RtpMedia } from './depacketize.ts';
export type { MediaProblem, OnProblem } from './nal-assembler.ts';

/**
 * Makes what turns the RTP payloads of one medium into access units.
 * @throws HearthcamError when the codec has no RTP form that we read (FLAC)
 */
export function createDepacketizer(media: RtpMedia, onUnit: OnUnit, onProblem: OnProblem): Depacketizer {
  switch (media.codec) {
    case 'h264':
      return new H264Depacketizer(media, onUnit, onProblem);
    case 'h265':
      return new H265Depacketizer(media, onUnit, onProblem);
    case 'aac':
      return isLatm(media)
        ? new LatmDepacketizer(media, onUnit, onProblem)
        : new AacDepacketizer(media, onUnit, onProblem);
    case 'opus':
    case 'pcma':
    case 'pcmu':
    case 'l16':
    case 'g722':
    case 'g726':
      return new PlainDepacketizer(media.codec, media, onUnit, onProblem);
    case 'mp3':
      return new Mp3Depacketizer(media, onUnit, onProblem);
    case 'jpeg':
      return new JpegDepacketizer(media, onUnit, onProblem);
    case 'av1':
      return new Av1Depacketizer(media, onUnit, onProblem);
    case 'vp8':
      return new Vp8Depacketizer(media, onUnit, onProblem);
    case 'vp9':
      return new Vp9Depacketizer(media, onUnit, onProblem);
    case 'flac':
      throw new HearthcamError('rtp.codec', 'FLAC has no RTP payload format');
    default:
      return media.codec satisfies never;
  }
}

function isLatm(media: RtpMedia): boolean {
  if (media.encoding !== undefined) return media.encoding.toLowerCase() === 'mp4a-latm';
  return fmtpValue(media.fmtp, 'cpresent') !== undefined && fmtpValue(media.fmtp, 'mode') === undefined;
}
