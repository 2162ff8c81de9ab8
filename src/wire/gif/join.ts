import { WireError } from '../../core/errors.ts';

/** One picture as FFmpeg's GIF encoder gives it, the first with the header in front. */
export interface GifPicture {
  readonly data: Buffer;
  /** How long it is shown. */
  readonly durationMs: number;
}

/** GIF89a §20: signature (6), logical screen descriptor (7). */
const HEADER_BYTES = 13;
/** GIF89a §23: introducer, label, block size. */
const CONTROL = Buffer.from([0x21, 0xf9, 0x04]);
const TRAILER = Buffer.from([0x3b]);
/** Netscape's application extension: play again for ever (0). */
const LOOP = Buffer.concat([Buffer.from([0x21, 0xff, 0x0b]), Buffer.from('NETSCAPE2.0'), Buffer.from([3, 1, 0, 0, 0])]);
/** Browsers take 10 ms and less to mean 100. */
const MIN_DELAY = 2;

/**
 * Puts coded pictures together to a GIF that plays without end: what libavformat's muxer does behind that encoder.
 * Times are kept in the sum, though each is a whole number of hundredths of a second.
 * @throws WireError when a picture has no place for its duration
 */
export function joinGif(pictures: readonly GifPicture[]): Buffer {
  const parts: Buffer[] = [];
  let dueMs = 0;
  let doneMs = 0;
  for (const [index, { data, durationMs }] of pictures.entries()) {
    const imageAt = index === 0 ? headerBytes(data) : 0;
    if (index === 0) parts.push(data.subarray(0, imageAt), LOOP);
    const image = Buffer.from(data.subarray(imageAt));
    if (!image.subarray(0, CONTROL.length).equals(CONTROL) || image.length < 8) {
      throw new WireError('gif.control', 'a GIF picture without a graphic control extension', imageAt);
    }
    dueMs += durationMs;
    const delay = Math.min(0xffff, Math.max(MIN_DELAY, Math.round((dueMs - doneMs) / 10)));
    doneMs += delay * 10;
    // Block size, packed fields, delay time.
    image.writeUInt16LE(delay, 4);
    parts.push(image);
  }
  return Buffer.concat([...parts, TRAILER]);
}

function headerBytes(data: Buffer): number {
  if (data.length < HEADER_BYTES || data.toString('latin1', 0, 4) !== 'GIF8') {
    throw new WireError('gif.header', 'the first GIF picture has no header', 0);
  }
  const packed = data[10] ?? 0;
  const bytes = HEADER_BYTES + ((packed & 0x80) === 0 ? 0 : 3 * 2 ** ((packed & 7) + 1));
  if (data.length < bytes) throw new WireError('gif.palette', 'the colour table of a GIF is cut off', HEADER_BYTES);
  return bytes;
}
