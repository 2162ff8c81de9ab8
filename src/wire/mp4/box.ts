/** Building blocks of ISO base media files (ISO/IEC 14496-12 §4.2): a box is its size, its type and its content. */

type Part = Buffer | readonly Part[];

/** A box with its content. */
export function box(type: string, ...parts: Part[]): Buffer {
  const content = flatten(parts);
  let size = 8;
  for (const part of content) size += part.length;
  const header = Buffer.allocUnsafe(8);
  header.writeUInt32BE(size, 0);
  header.write(type, 4, 4, 'latin1');
  return Buffer.concat([header, ...content], size);
}

/** A box with version and flags. */
export function fullBox(type: string, version: number, flags: number, ...parts: Part[]): Buffer {
  return box(type, u32(((version << 24) | flags) >>> 0), ...parts);
}

function flatten(parts: readonly Part[]): Buffer[] {
  const out: Buffer[] = [];
  for (const part of parts) {
    if (Buffer.isBuffer(part)) out.push(part);
    else out.push(...flatten(part));
  }
  return out;
}

export function u8(...values: number[]): Buffer {
  return Buffer.from(values);
}

export function u16(...values: number[]): Buffer {
  const out = Buffer.allocUnsafe(values.length * 2);
  let at = 0;
  for (const value of values) at = out.writeUInt16BE(value, at);
  return out;
}

export function u32(...values: number[]): Buffer {
  const out = Buffer.allocUnsafe(values.length * 4);
  let at = 0;
  for (const value of values) at = out.writeUInt32BE(value, at);
  return out;
}

export function u64(value: number): Buffer {
  const out = Buffer.allocUnsafe(8);
  writeU64(out, value, 0);
  return out;
}

/** Writes a non-negative integer below 2^53 as 64 bits. Returns the offset behind it. */
export function writeU64(target: Buffer, value: number, offset: number): number {
  target.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  return target.writeUInt32BE((value % 2 ** 32) >>> 0, offset + 4);
}

export function text(value: string): Buffer {
  return Buffer.from(value, 'latin1');
}

export function zeros(bytes: number): Buffer {
  return Buffer.alloc(bytes);
}
