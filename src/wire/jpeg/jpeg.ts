import { WireError } from '../../core/errors.ts';
import { STANDARD_HUFFMAN } from './tables.ts';

/** What the headers of a JPEG file say (ITU-T T.81 annex B). */
export interface JpegInfo {
  readonly width: number;
  readonly height: number;
  /** Start of frame marker: 0xC0 = baseline. */
  readonly sof: number;
  readonly components: readonly { readonly sampling: number; readonly quantTable: number }[];
  /** 8-bit tables by number, 64 bytes each; undefined where absent or of 16 bits. */
  readonly quantTables: readonly (Buffer | undefined)[];
  /** MCUs between restart markers, 0 = none. */
  readonly restartInterval: number;
  /** No Huffman tables at all (as in AVI) or just the standard ones. */
  readonly standardHuffman: boolean;
  /** Entropy-coded data: bytes `scanStart`…`scanEnd`, without the EOI. */
  readonly scanStart: number;
  readonly scanEnd: number;
}

/** @throws WireError when it is no JPEG file, or its headers are cut off. */
export function parseJpeg(data: Buffer): JpegInfo {
  if (data.length < 4 || data[0] !== 0xff || data[1] !== 0xd8) {
    throw new WireError('jpeg.soi', `not a JPEG file: ${data.subarray(0, 8).toString('hex')}`, 0);
  }
  let width = 0;
  let height = 0;
  let sof = 0;
  let restartInterval = 0;
  let standardHuffman = true;
  const components: { sampling: number; quantTable: number }[] = [];
  const quantTables: (Buffer | undefined)[] = [];
  let at = 2;
  for (;;) {
    while (data[at] === 0xff && data[at + 1] === 0xff) at++;
    const marker = data[at + 1];
    if (marker === undefined || at + 4 > data.length) throw new WireError('jpeg.cut', 'JPEG headers are cut off', at);
    if (data[at] !== 0xff) throw new WireError('jpeg.marker', 'no marker where a JPEG segment should start', at);
    const size = data.readUInt16BE(at + 2);
    const start = at + 4;
    const end = at + 2 + size;
    if (size < 2 || end > data.length) throw new WireError('jpeg.segment', `JPEG segment of ${size} bytes`, at);
    const segment = data.subarray(start, end);
    if (marker === 0xdb) {
      readQuantTables(segment, quantTables);
    } else if (marker === 0xc4) {
      standardHuffman = standardHuffman && isStandardHuffman(segment);
    } else if (marker === 0xdd) {
      restartInterval = segment.length >= 2 ? segment.readUInt16BE(0) : 0;
    } else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
      if (segment.length < 6) throw new WireError('jpeg.sof', 'JPEG frame header is cut off', at);
      sof = marker;
      height = segment.readUInt16BE(1);
      width = segment.readUInt16BE(3);
      const count = Math.min(segment[5] ?? 0, 4);
      components.length = 0;
      for (let index = 0; index < count; index++) {
        components.push({ sampling: segment[7 + index * 3] ?? 0, quantTable: segment[8 + index * 3] ?? 0 });
      }
    } else if (marker === 0xda) {
      if (sof === 0) throw new WireError('jpeg.sos', 'JPEG scan without a frame header', at);
      let scanEnd = data.length;
      // Padding may follow the EOI marker.
      while (scanEnd > end && data[scanEnd - 1] === 0) scanEnd--;
      if (scanEnd - end >= 2 && data[scanEnd - 2] === 0xff && data[scanEnd - 1] === 0xd9) scanEnd -= 2;
      else scanEnd = data.length;
      return {
        width,
        height,
        sof,
        components,
        quantTables,
        restartInterval,
        standardHuffman,
        scanStart: end,
        scanEnd,
      };
    }
    at = end;
  }
}

function readQuantTables(segment: Buffer, tables: (Buffer | undefined)[]): void {
  let at = 0;
  while (at < segment.length) {
    const head = segment[at] ?? 0;
    const wide = head >> 4 !== 0;
    const size = wide ? 128 : 64;
    const table = segment.subarray(at + 1, at + 1 + size);
    if (table.length < size) throw new WireError('jpeg.dqt', 'JPEG quantisation table is cut off', at);
    tables[head & 3] = wide ? undefined : table;
    at += 1 + size;
  }
}

/** Whether a DHT segment holds only tables of annex K.3 (in any order and grouping). */
function isStandardHuffman(segment: Buffer): boolean {
  let at = 0;
  while (at + 17 <= segment.length) {
    let values = 0;
    for (let index = 1; index <= 16; index++) values += segment[at + index] ?? 0;
    const table = segment.subarray(at, at + 17 + values);
    if (!STANDARD_TABLES.some((standard) => standard.equals(table))) return false;
    at += 17 + values;
  }
  return at === segment.length;
}
const STANDARD_TABLES = [
  STANDARD_HUFFMAN.subarray(0, 29),
  STANDARD_HUFFMAN.subarray(29, 58),
  STANDARD_HUFFMAN.subarray(58, 237),
  STANDARD_HUFFMAN.subarray(237, 416),
];

/**
 * The headers of a baseline JPEG file with standard Huffman tables, up to and with the start of scan.
 * @param sampling of the luma component: 0x21 (4:2:2) or 0x22 (4:2:0)
 * @param tables 64 or 128 bytes of 8-bit quantisation tables: for all, or luma and chroma
 */
export function buildJpegHeaders(
  width: number,
  height: number,
  sampling: number,
  tables: Buffer,
  restartInterval: number,
): Buffer {
  const two = tables.length >= 128;
  const parts = [Buffer.from([0xff, 0xd8, 0xff, 0xdb, 0, two ? 132 : 67, 0]), tables.subarray(0, 64)];
  if (two) parts.push(Buffer.from([1]), tables.subarray(64, 128));
  if (restartInterval > 0) {
    parts.push(Buffer.from([0xff, 0xdd, 0, 4, restartInterval >> 8, restartInterval & 255]));
  }
  const chroma = two ? 1 : 0;
  const [h1, h2, w1, w2] = [height >> 8, height & 255, width >> 8, width & 255];
  parts.push(
    Buffer.from([0xff, 0xc0, 0, 17, 8, h1, h2, w1, w2, 3, 1, sampling, 0, 2, 0x11, chroma, 3, 0x11, chroma]),
    Buffer.from([0xff, 0xc4, (STANDARD_HUFFMAN.length + 2) >> 8, (STANDARD_HUFFMAN.length + 2) & 255]),
    STANDARD_HUFFMAN,
    Buffer.from([0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]),
  );
  return Buffer.concat(parts);
}
