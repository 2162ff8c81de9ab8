import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { makeAacFormat } from '../aac/config.ts';
import { splitOpusPes } from './opus.ts';
import { TsReader } from './reader.ts';
import { parsePat, parsePmt } from './tables.ts';
import { TsWriter } from './writer.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const format = makeAacFormat(Buffer.from('1408', 'hex'));
const writer = new TsWriter([
  { id: 0, codec: 'aac', channels: 1 },
  { id: 1, codec: 'opus', channels: 1 },
]);
const seed = Buffer.concat(
  [0, 1, 0, 1].map(
    (trackId, index) =>
      writer.write([
        { trackId, format, pts: index, dts: index, key: true, data: Buffer.alloc(300), wallMs: 0, arrivedMs: 0 },
      ]) ?? Buffer.alloc(0),
  ),
);

function onlyWireErrors(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

function drive(bytes: Buffer, step: number): void {
  onlyWireErrors(() => {
    const reader = new TsReader({
      programme: () => {},
      unit: (unit) => {
        if (unit.stream.codec === 'opus') onlyWireErrors(() => splitOpusPes(unit.data));
      },
    });
    for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
    reader.end();
  });
}

test('MPEG-TS: random packets give a WireError at worst', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(0, 0x10, 0x100), fc.boolean(), fc.uint8Array({ maxLength: 184 }))),
      fc.integer({ min: 1, max: 400 }),
      (packets, step) => {
        const bytes = packets.map(([pid, start, body]) => {
          const packet = Buffer.alloc(188, 0xff);
          packet.writeUInt32BE(0x4700_0010 | (start ? 0x40_0000 : 0) | (pid << 8));
          packet.set(body, 4);
          return packet;
        });
        drive(Buffer.concat([seed.subarray(0, 188 * 2), ...bytes]), step);
      },
    ),
    { numRuns: runs },
  );
});

test('MPEG-TS: a real stream with changed bytes gives a WireError at worst', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 10 }),
      fc.integer({ min: 1, max: 400 }),
      (changes, step) => {
        const bytes = Buffer.from(seed);
        for (const [at, value] of changes) bytes[at] = value;
        drive(bytes, step);
      },
    ),
    { numRuns: runs },
  );
});

test('MPEG-TS tables and Opus headers: random bytes give a WireError at worst', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      onlyWireErrors(() => parsePat(buffer));
      onlyWireErrors(() => parsePmt(buffer));
      onlyWireErrors(() => splitOpusPes(buffer));
    }),
    { numRuns: runs },
  );
});
