/**
 * The mark that every simulated picture carries, so that a test knows which picture it looks at and when it was taken,
 * without reading digits: two rows of 32 black or white cells near the upper edge, most significant bit first.
 *
 *     row 0: number of the picture since the stream was connected (24 bits), checksum (8 bits)
 *     row 1: UTC milliseconds at which the picture was taken, modulo 2^32
 *
 * A cell is 1/80 of the width and 1/60 of the height (8x6 pixels at 640x360), large enough to survive compression
 * and scaling to half the size. The rows begin 30 cells from the left and one from the top, right of the clock,
 * where players have no controls.
 */
export interface FrameMark {
  readonly counter: number;
  /** UTC milliseconds. */
  readonly capturedAtMs: number;
}

export interface MarkLayout {
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Upper left corner of the first cell. */
  readonly left: number;
  readonly top: number;
}

export const MARK_COLUMNS = 32;
export const MARK_ROWS = 2;

/** Pixels; whole numbers when width and height are multiples of 80 and 60. */
export function markLayout(width: number, height: number): MarkLayout {
  const cellWidth = width / 80;
  const cellHeight = height / 60;
  return { cellWidth, cellHeight, left: cellWidth * 30, top: cellHeight };
}

/** The bits of both rows, row 0 first. */
export function markBits(counter: number, capturedAtMs: number): boolean[] {
  const low = (counter & 0xff_ffff) * 0x100;
  const time = capturedAtMs % 0x1_0000_0000;
  const words = [low + checksum(counter & 0xff_ffff, time), time];
  return words.flatMap((word) =>
    Array.from({ length: 32 }, (_, index) => Math.floor(word / 2 ** (31 - index)) % 2 === 1),
  );
}

/** Pixels as a decoder gives them. `gray` is also right for the luma plane of a YUV picture. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly format: 'gray' | 'rgb' | 'rgba';
  /** Bytes from one row to the next; default: without padding. */
  readonly strideBytes?: number;
}

/**
 * Reads the mark of a picture of any size, also scaled.
 * @param nowMs about when the picture was taken (within 24 days), to complete the time
 * @returns null when there is no mark or it is damaged (the checksum is wrong)
 */
export function readFrameMark(pixels: Pixels, nowMs: number = Date.now()): FrameMark | null {
  const { cellWidth, cellHeight, left, top } = markLayout(pixels.width, pixels.height);
  const words: number[] = [];
  for (let row = 0; row < MARK_ROWS; row++) {
    let word = 0;
    for (let column = 0; column < MARK_COLUMNS; column++) {
      const x = left + column * cellWidth;
      const y = top + row * cellHeight;
      word = word * 2 + (brightness(pixels, x, y, cellWidth, cellHeight) > 127 ? 1 : 0);
    }
    words.push(word);
  }
  const [first = 0, time = 0] = words;
  const counter = Math.floor(first / 0x100);
  if (first % 0x100 !== checksum(counter, time)) return null;
  const turn = Math.round((nowMs - time) / 0x1_0000_0000);
  return { counter, capturedAtMs: turn * 0x1_0000_0000 + time };
}

/** Mean of the inner half of a cell: its edges are blurred by compression. */
function brightness(pixels: Pixels, x: number, y: number, width: number, height: number): number {
  const { data, format } = pixels;
  const step = format === 'gray' ? 1 : format === 'rgb' ? 3 : 4;
  const stride = pixels.strideBytes ?? pixels.width * step;
  // Green is nearest to luma.
  const channel = format === 'gray' ? 0 : 1;
  let sum = 0;
  let count = 0;
  for (
    let row = Math.floor(y + height / 4);
    row < Math.max(y + (height * 3) / 4, Math.floor(y + height / 4) + 1);
    row++
  ) {
    for (
      let column = Math.floor(x + width / 4);
      column < Math.max(x + (width * 3) / 4, Math.floor(x + width / 4) + 1);
      column++
    ) {
      sum += data[row * stride + column * step + channel] ?? 0;
      count++;
    }
  }
  return sum / count;
}

/** CRC-8 (polynomial 0x07) over counter and time; begins with 0x5a so that all black is no valid mark. */
function checksum(counter: number, time: number): number {
  let crc = 0x5a;
  const bytes = [counter >>> 16, counter >>> 8, counter, time / 2 ** 24, time / 2 ** 16, time / 2 ** 8, time];
  for (const byte of bytes) {
    crc ^= Math.floor(byte) & 0xff;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80) === 0 ? (crc << 1) & 0xff : ((crc << 1) ^ 0x07) & 0xff;
  }
  return crc;
}
