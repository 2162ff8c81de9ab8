import { readAdtsHeader } from '../../wire/aac/adts.ts';
import { looksLikeFlv } from '../../wire/flv/reader.ts';
import { readMp3Header } from '../../wire/mp3/frame.ts';
import { looksLikeMpegTs } from '../../wire/mpegts/reader.ts';

/** What bytes may be. `web` is a page for people: the address is wrong, or a login is missing. */
export type Kind =
  | 'flv'
  | 'mpegts'
  | 'multipart'
  | 'hls'
  | 'still'
  | 'jpeg'
  | 'mp4'
  | 'h264'
  | 'h265'
  | 'aac'
  | 'mp3'
  | 'wav'
  | 'pcmu'
  | 'web';

/** So many bytes are enough to tell everything apart. */
const SNIFF_BYTES = 188 * 3 + 1;

/**
 * By the first bytes.
 * @param whole nothing comes behind `bytes`
 * @returns undefined: more bytes are needed; null: none of what we know
 */
export function kindByBytes(bytes: Buffer, whole: boolean): Kind | null | undefined {
  if (bytes.length < 12 && !whole) return undefined;
  if (looksLikeFlv(bytes)) return 'flv';
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, 64)).trimStart();
  if (text.startsWith('#EXTM3U')) return 'hls';
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WAVE') return 'wav';
  if (['ftyp', 'styp', 'moov', 'moof', 'sidx'].includes(bytes.toString('latin1', 4, 8))) return 'mp4';
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'jpeg';
  if (readAdtsHeader(bytes) !== null) return 'aac';
  if (text.startsWith('ID3') || readMp3Header(bytes) !== null) return 'mp3';
  if (/^--[^\s-]/.test(text)) return 'multipart';
  if (/^<(!doctype|html|\?xml|head|script)/i.test(text)) return 'web';
  const nal = kindOfNals(bytes);
  if (nal !== null) return nal;
  if (bytes[0] === 0x47 || bytes.length < SNIFF_BYTES) {
    if (looksLikeMpegTs(bytes)) return 'mpegts';
    if (bytes.length < SNIFF_BYTES && !whole) return undefined;
  }
  // A stream that was joined midway begins anywhere.
  for (let at = 0; at < 188; at++) if (looksLikeMpegTs(bytes.subarray(at))) return 'mpegts';
  return bytes.length < SNIFF_BYTES * 2 && !whole ? undefined : null;
}

/** A byte stream's first NAL unit: parameter set, delimiter, SEI or slice of H.264 or H.265. */
function kindOfNals(bytes: Buffer): 'h264' | 'h265' | null {
  let at = 0;
  while (at < 4 && bytes[at] === 0) at++;
  if (at < 2 || bytes[at] !== 1) return null;
  const first = bytes[at + 1] ?? 0;
  const second = bytes[at + 2] ?? 0;
  // H.265 (ISO/IEC 23008-2 §7.3.1.2): layer 0, temporal id 1; types VPS, SPS, PPS, AUD, SEI.
  if ([0x40, 0x42, 0x44, 0x46, 0x4e].includes(first) && second === 0x01) return 'h265';
  const type = first & 0x1f;
  if ((first & 0x80) === 0 && (type === 1 || (type >= 5 && type <= 9))) return 'h264';
  return null;
}
