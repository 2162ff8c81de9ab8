import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../errors.ts';
import { encodeIpcHead, IpcFields, IpcReader } from './ipc.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);

test('messages come out as they went in, however the socket cuts them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.dictionary(fc.string(), fc.jsonValue()), fc.uint8Array({ maxLength: 300 })), {
        maxLength: 8,
      }),
      fc.integer({ min: 1, max: 97 }),
      (messages, step) => {
        const bytes = Buffer.concat(
          messages.flatMap(([header, payload]) => [encodeIpcHead(header, payload.length), Buffer.from(payload)]),
        );
        const reader = new IpcReader();
        const seen = [];
        for (let at = 0; at < bytes.length; at += step) seen.push(...reader.push(bytes.subarray(at, at + step)));
        assert.deepEqual(
          seen.map(({ header, payload }) => [JSON.stringify(header), payload.toString('hex')]),
          messages.map(([header, payload]) => [
            JSON.stringify(JSON.parse(JSON.stringify(header))),
            Buffer.from(payload).toString('hex'),
          ]),
        );
      },
    ),
    { numRuns: runs },
  );
});

test('whatever a broken helper sends gives a WireError at most', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      try {
        new IpcReader().push(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof WireError);
      }
    }),
    { numRuns: runs },
  );
});

test('a helper that announces a huge message is refused before anything is kept for it', () => {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32BE(10, 0);
  prefix.writeUInt32BE(0x7fffffff, 4);
  assert.throws(() => new IpcReader().push(prefix), { code: 'ipc.size' });
});

for (const [name, read, ok] of [
  ['a text', (fields: IpcFields) => fields.text('t'), 'x'],
  ['a number', (fields: IpcFields) => fields.number('n', 0, 5), 2.5],
  ['an integer', (fields: IpcFields) => fields.integer('i', 0, 5), 3],
  ['a flag', (fields: IpcFields) => fields.flag('f'), true],
  ['one of several', (fields: IpcFields) => fields.oneOf('t', ['x', 'y']), 'x'],
] as const) {
  test(`a header field that should be ${name} is checked`, () => {
    assert.equal(read(new IpcFields({ t: 'x', n: 2.5, i: 3, f: true })), ok);
    assert.throws(() => read(new IpcFields({ t: 7, n: 9, i: 2.5, f: 'x' })), { code: 'ipc.field' });
    assert.throws(() => read(new IpcFields({})), { code: 'ipc.field' });
    assert.throws(() => read(new IpcFields([])), { code: 'ipc.header' });
  });
}
