import { HearthcamError } from '../../core/errors.ts';
import type { Codec } from '../../core/media.ts';
import { AacDepacketizer } from '../aac/depacketizer.ts';
import { LatmDepacketizer } from '../aac/latm-depacketizer.ts';
import { H264Depacketizer } from '../h264/depacketizer.ts';
import { H265Depacketizer } from '../h265/depacketizer.ts';
import { type Depacketizer, fmtpValue, type OnUnit, type RtpMedia } from './depacketize.ts';
import { Mp3Depacketizer } from './mp3.ts';
import type { OnProblem } from './nal-assembler.ts';
import { PlainDepacketizer } from './plain-depacketizer.ts';

export type { DepacketizedUnit, Depacketizer, OnUnit, RtpMedia } from './depacketize.ts';
export type { MediaProblem, OnProblem } from './nal-assembler.ts';

/** Codecs by the encoding name of an rtpmap, lower case. */
const ENCODINGS: ReadonlyMap<string, Codec> = new Map([
  ['h264', 'h264'],
  ['h265', 'h265'],
  ['hevc', 'h265'],
  ['av1', 'av1'],
  ['vp8', 'vp8'],
  ['vp9', 'vp9'],
  ['jpeg', 'jpeg'],
  ['mpeg4-generic', 'aac'],
  ['mp4a-latm', 'aac'],
  ['opus', 'opus'],
  ['multiopus', 'opus'],
  ['pcma', 'pcma'],
  ['pcmu', 'pcmu'],
  ['l16', 'l16'],
  ['mpa', 'mp3'],
  ['g722', 'g722'],
  ['g726-16', 'g726'],
  ['g726-24', 'g726'],
  ['g726-32', 'g726'],
  ['g726-40', 'g726'],
]);

/** The codec of an rtpmap's encoding name; undefined when we don't carry it. */
export function codecOfEncoding(encoding: string): Codec | undefined {
  return ENCODINGS.get(encoding.toLowerCase());
}

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
    default:
      throw new HearthcamError('rtp.codec', `${media.codec} over RTP is not supported`);
  }
}

function isLatm(media: RtpMedia): boolean {
  if (media.encoding !== undefined) return media.encoding.toLowerCase() === 'mp4a-latm';
  return fmtpValue(media.fmtp, 'cpresent') !== undefined && fmtpValue(media.fmtp, 'mode') === undefined;
}
