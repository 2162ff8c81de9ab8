import { PICTURE_LIMITS, type VideoTarget } from '../../core/targets.ts';
import { JobError } from '../protocol.ts';

const [MIN_SIDE, MAX_SIDE] = PICTURE_LIMITS.side;
const [MIN_FPS, MAX_FPS] = PICTURE_LIMITS.fps;

/** Pixels of a picture as it is stored, after cropping. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Pixels to scale to, before rotation. */
export function scaledSize(target: VideoTarget, source: PictureSize): PictureSize {
  const { width, height } = target;
  const wide = width ?? (height === undefined ? source.width : (source.width * height) / source.height);
  const high = height ?? (width === undefined ? source.height : (source.height * width) / source.width);
  const size = { width: evenSide(wide), height: evenSide(high) };
  const tooLarge = size.width > MAX_SIDE || size.height > MAX_SIDE;
  if (tooLarge || size.width * size.height > PICTURE_LIMITS.pixels) {
    throw new JobError(
      'request',
      `a picture of ${size.width}x${size.height} pixels can't be made: at most ${MAX_SIDE} a side and ${PICTURE_LIMITS.pixels} in all`,
    );
  }
  return size;
}

/** 4:2:0 has one colour sample for two pixels each way. Rounded down, so that a picture is not made larger by it. */
function evenSide(pixels: number): number {
  return Math.max(MIN_SIDE, Math.floor(Math.round(pixels) / 2) * 2);
}

/** @throws JobError `request` when no picture could ever fulfil it */
export function checkVideoTarget(target: VideoTarget): void {
  checkNumber('width', target.width, PICTURE_LIMITS.side, 'pixels');
  checkNumber('height', target.height, PICTURE_LIMITS.side, 'pixels');
  checkNumber('bitrate', target.bitrateKbps, PICTURE_LIMITS.bitrateKbps, 'kbit/s');
  checkNumber('gop', target.gop, PICTURE_LIMITS.gop, 'pictures');
  checkNumber('quality', target.quality, PICTURE_LIMITS.quality, '');
  const { fps } = target;
  // Less than one a second is a slow view of a camera, so fractions count here.
  if (fps !== undefined && !(fps >= MIN_FPS && fps <= MAX_FPS)) {
    throw new JobError('request', `fps must be from ${MIN_FPS} to ${MAX_FPS}, not ${fps}`);
  }
  if (target.rotate !== undefined && ![90, 180, 270].includes(target.rotate)) {
    throw new JobError('request', `rotate must be 90, 180 or 270 degrees, not ${String(target.rotate)}`);
  }
}

function checkNumber(
  name: string,
  value: number | undefined,
  [least, most]: readonly [number, number],
  unit: string,
): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  const unitWord = unit === '' ? '' : ` ${unit}`;
  throw new JobError('request', `${name} must be a whole number from ${least} to ${most}${unitWord}, not ${value}`);
}

/**
 * Bit rates that H.264 may reach at 25 pictures a second where none is asked for: enough for a moving picture with
 * x264's fastest settings; a still one stays far below, for the quality is capped too.
 */
const H264_KBPS: readonly (readonly [pixels: number, kbps: number])[] = [
  [160 * 120, 150],
  [320 * 240, 350],
  [640 * 360, 900],
  [854 * 480, 1_400],
  [1280 * 720, 2_500],
  [1920 * 1080, 5_000],
  [2560 * 1440, 8_000],
  [3840 * 2160, 15_000],
  [7680 * 4320, 40_000],
];
/** H.265 needs about two thirds for the same picture, with settings that are as fast. */
const H265_SHARE = 0.67;

/** The highest bit rate, in kbit/s, of a target that is made with this size and rate of pictures. */
export function maxKbps(target: VideoTarget, size: PictureSize, fps: number): number {
  if (target.bitrateKbps !== undefined) return target.bitrateKbps;
  const pixels = size.width * size.height;
  const above = H264_KBPS.findIndex(([limit]) => limit >= pixels);
  const [highPixels, highKbps] = H264_KBPS.at(above) ?? [1, 1];
  const [lowPixels, lowKbps] = H264_KBPS[above === -1 ? H264_KBPS.length - 2 : above - 1] ?? [0, 0];
  const kbps = lowKbps + ((highKbps - lowKbps) * (pixels - lowPixels)) / (highPixels - lowPixels);
  // Pictures that follow faster differ less: half the rate needs more than half the bits.
  const share = (fps / 25) ** 0.7 * (target.codec === 'h265' ? H265_SHARE : 1);
  return Math.max(50, Math.round(kbps * share));
}
