import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from './byte-queue.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);

test('reads behave as on one long buffer, however the bytes were cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 12 }),
      fc.array(fc.tuple(fc.constantFrom('take', 'skip', 'peek', 'find'), fc.nat(20)), { maxLength: 12 }),
      (pieces, steps) => {
        const queue = new ByteQueue();
        for (const piece of pieces) queue.push(Buffer.from(piece));
        let whole = Buffer.concat(pieces);
        for (const [step, amount] of steps) {
          if (step === 'find') {
            const needle = whole.subarray(amount, amount + 3);
            if (needle.length > 0) {
              assert.equal(queue.indexOf(needle, amount >> 1), whole.indexOf(needle, amount >> 1));
            }
          } else {
            if (step === 'take') assert.deepEqual(queue.take(amount), whole.subarray(0, amount));
            else if (step === 'skip') queue.skip(amount);
            else assert.deepEqual(queue.peek(amount), whole.subarray(0, amount));
            if (step !== 'peek') whole = whole.subarray(amount);
          }
          assert.equal(queue.length, whole.length);
          assert.equal(queue.byteAt(1), whole[1] ?? -1);
        }
      },
    ),
    { numRuns: runs },
  );
});

test('a needle across three reads is found', () => {
  const queue = new ByteQueue();
  for (const text of ['ab--f', 'ra', 'me\r\n']) queue.push(Buffer.from(text));
  assert.equal(queue.indexOf(Buffer.from('--frame')), 2);
  assert.equal(queue.indexOf(Buffer.from('--frame'), 3), -1);
});
