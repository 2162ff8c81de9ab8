import { HearthcamError } from '../../core/errors.ts';
import {
  HARDWARE,
  type Hardware,
  type MadeAudioCodec,
  type MadeVideoCodec,
  PICTURE_LIMITS,
} from '../../core/targets.ts';
import { type Turn, UPRIGHT } from './turn.ts';

/** What somebody wants of a picture, gathered from several places; later ones count. */
export interface AskedPicture {
  codec?: MadeVideoCodec | 'copy' | 'none';
  width?: number;
  height?: number;
  turn: Turn;
  bitrateKbps?: number;
  fps?: number;
  gop?: number;
  quality?: number;
  hardware?: Hardware;
}

export interface AskedSound {
  codec?: MadeAudioCodec | 'copy' | 'none';
  sampleRateHz?: number;
  channels?: number;
  bitrateKbps?: number;
}

export interface Asked {
  readonly picture: AskedPicture;
  readonly sound: AskedSound;
}

export function nothingAsked(): Asked {
  return { picture: { turn: UPRIGHT }, sound: {} };
}

/** An `ffmpeg:` source that can't be, with the part that is to blame. */
export function refuse(message: string, hint?: string): HearthcamError {
  const more = hint === undefined ? {} : { hint };
  return new HearthcamError('source.ffmpeg', `ffmpeg: ${message}`, { status: 400, permanent: true, ...more });
}

/** @param part as it is to be named: `#width`, `-g` */
export function integerOf(part: string, text: string, [least, most]: readonly [number, number], unit: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw refuse(`${part} must be a whole number of ${unit} from ${least} to ${most}, not "${shorten(text)}"`);
}

/** `800k`, `2M`, `1.5M`, `2000000`; a number alone below 100,000 is meant as kbit/s, as nobody wants so few bits. */
export function kbpsOf(part: string, text: string): number {
  const found = /^(\d{1,9}(?:\.\d{1,3})?)(k|m)?(?:bit|bps|b)?$/i.exec(text);
  const number = Number(found?.[1]);
  const unit = found?.[2]?.toLowerCase();
  const kbps = unit === 'm' ? number * 1000 : unit === 'k' || number < 100_000 ? number : number / 1000;
  const [least, most] = PICTURE_LIMITS.bitrateKbps;
  if (Math.round(kbps) >= least && kbps <= most) return Math.round(kbps);
  throw refuse(`${part} must be a bit rate such as 800k or 2M, at most ${most / 1000}M, not "${shorten(text)}"`);
}

/** `10`, `12.5`, `30000/1001`, and `pal`/`ntsc` as ffmpeg has them. */
export function fpsOf(part: string, text: string): number {
  const named = text === 'pal' ? 25 : text === 'ntsc' ? 30_000 / 1001 : undefined;
  const found = /^(\d{1,9}(?:\.\d{1,3})?)(?:\/(\d{1,9}))?$/.exec(text);
  const value = named ?? Number(found?.[1]) / Number(found?.[2] ?? 1);
  const [least, most] = PICTURE_LIMITS.fps;
  if (value >= least && value <= most) return value;
  throw refuse(`${part} must be pictures a second from ${least} to ${most}, not "${shorten(text)}"`);
}

/** A side of the picture; null where it is to follow from the other one (`-1`, `-2`, `iw`, `ih`). */
export function sideOf(part: string, text: string): number | null {
  if (text === '' || text === '-1' || text === '-2') return null;
  return integerOf(part, text, PICTURE_LIMITS.side, 'pixels');
}

/** @throws HearthcamError for a kind that nobody knows */
export function hardwareOf(part: string, text: string): Hardware {
  if (text === '') return 'auto';
  const kind = HARDWARE.find((one) => one === text.toLowerCase());
  if (kind !== undefined) return kind;
  throw refuse(`${part}: there is no hardware "${shorten(text)}" here, only ${HARDWARE.join(', ')}`);
}

/** Both sides may be allowed and the picture still too large. */
export function checkPixels({ width, height }: AskedPicture): void {
  if (width === undefined || height === undefined || width * height <= PICTURE_LIMITS.pixels) return;
  throw refuse(`${width}x${height} is too large a picture: at most ${PICTURE_LIMITS.pixels} pixels in all`);
}

/** Text from outside in a message. */
export function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}
