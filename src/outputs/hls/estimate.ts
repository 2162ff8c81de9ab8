import type { Size } from '../../core/bitrate.ts';
import type { VideoTarget } from '../../core/targets.ts';
import type { VariantFacts } from './muxer.ts';

/** What a key frame may add to the bit rate of a segment: encoders are held to their rate over a second. */
const PEAK_FACTOR = 1.3;
/** Sound beside a picture, where nothing was measured. */
const AUDIO_BPS = 64_000;

/**
 * What a rendition will be, for a multivariant playlist that is written before it is made: from what it is to be, and
 * from what is known of the stream that it is made of. `known` is what it was when it ran last, `size` what it will be.
 */
export function renditionFacts(
  picture: VideoTarget,
  size: Size,
  source: VariantFacts,
  known: VariantFacts | undefined,
): VariantFacts {
  const { width, height } = known !== undefined && known.width > 0 ? known : size;
  const frameRate = Math.min(picture.fps ?? Number.POSITIVE_INFINITY, source.frameRate ?? Number.POSITIVE_INFINITY);
  const sound = source.codecs.filter((codec) => !isVideo(codec));
  const soundBps = sound.length > 0 ? AUDIO_BPS : 0;
  const pictureBps = picture.bitrateKbps === undefined ? source.averageBps : picture.bitrateKbps * 1000;
  const codecs = known?.codecs ?? [codecOf(picture, width, height, frameRate), ...sound];
  return {
    codecs,
    width,
    height,
    // The most that it may be. hls.js begins with the variant of the lowest rate, and changes only to the same or "better".
    frameRate: source.frameRate,
    peakBps: Math.max(pictureBps * PEAK_FACTOR + soundBps, known?.peakBps ?? 0),
    averageBps: pictureBps + soundBps,
  };
}

function isVideo(codec: string): boolean {
  return /^(avc|hvc|hev|av01|vp0)/.test(codec);
}

/** Levels of H.264: macroblocks of a picture and in a second (ITU-T H.264 Table A-1). */
const LEVELS: readonly { readonly hex: string; readonly picture: number; readonly second: number }[] = [
  { hex: '0A', picture: 99, second: 1_485 },
  { hex: '0B', picture: 396, second: 3_000 },
  { hex: '0C', picture: 396, second: 6_000 },
  { hex: '0D', picture: 396, second: 11_880 },
  { hex: '15', picture: 792, second: 19_800 },
  { hex: '16', picture: 1_620, second: 20_250 },
  { hex: '1E', picture: 1_620, second: 40_500 },
  { hex: '1F', picture: 3_600, second: 108_000 },
  { hex: '20', picture: 5_120, second: 216_000 },
  { hex: '28', picture: 8_192, second: 245_760 },
  { hex: '2A', picture: 8_704, second: 522_240 },
  { hex: '32', picture: 22_080, second: 589_824 },
  { hex: '33', picture: 36_864, second: 983_040 },
  { hex: '34', picture: 36_864, second: 2_073_600 },
];

/** High profile, as the encoder makes it, at the least level that will do; RFC 6381 §3.3. */
function codecOf(picture: VideoTarget, width: number, height: number, frameRate: number): string {
  if (picture.codec === 'h265') return 'hvc1.1.6.L120.B0';
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  const second = blocks * (Number.isFinite(frameRate) ? frameRate : 30);
  const level = LEVELS.find((one) => blocks <= one.picture && second <= one.second) ?? LEVELS.at(-1);
  return `avc1.6400${level?.hex ?? '34'}`;
}
