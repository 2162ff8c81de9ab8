import { inflateSync } from 'node:zlib';

/**
 * Mean brightness, 0 (black) … 255, of a PNG as Chromium writes its screenshots: 8 bits a channel, RGB or RGBA, not
 * interlaced (PNG specification §9: filter types 0…4).
 */
export function meanBrightness(png: Buffer): number {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const colorType = png[25];
  if (png[24] !== 8 || (colorType !== 2 && colorType !== 6) || png[28] !== 0) throw new Error('not such a PNG');
  const bytesPerPixel = colorType === 6 ? 4 : 3;
  const chunks: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') {
      chunks.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
    }
  }
  const raw = inflateSync(Buffer.concat(chunks));
  const stride = width * bytesPerPixel;
  let above = new Uint8Array(stride);
  let sum = 0;
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)] ?? 0;
    const line = new Uint8Array(raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)));
    for (let x = 0; x < stride; x++) {
      const a = x < bytesPerPixel ? 0 : (line[x - bytesPerPixel] ?? 0);
      const b = above[x] ?? 0;
      const c = x < bytesPerPixel ? 0 : (above[x - bytesPerPixel] ?? 0);
      line[x] = (line[x] ?? 0) + predict(filter, a, b, c);
      if (x % bytesPerPixel < 3) sum += line[x] ?? 0;
    }
    above = line;
  }
  return sum / (width * height * 3);
}

function predict(filter: number, a: number, b: number, c: number): number {
  if (filter === 0) return 0;
  if (filter === 1) return a;
  if (filter === 2) return b;
  if (filter === 3) return (a + b) >> 1;
  const p = a + b - c;
  const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}
