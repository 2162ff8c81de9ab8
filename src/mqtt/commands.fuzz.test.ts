import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommand } from './commands.ts';
import { Topics } from './topics.ts';

const topics = new Topics('home/hearthcam', 'homeassistant');
const runs = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) };

test('what is asked on …/set is understood', () => {
  const rows: readonly [topic: string, payload: string, expected: unknown][] = [
    ['nursery/listening/set', 'ON', { camera: 'nursery', command: { kind: 'listening', on: true } }],
    ['nursery/listening/set', ' off\n', { camera: 'nursery', command: { kind: 'listening', on: false } }],
    ['a%2Fb/sensitivity/set', 'Low', { camera: 'a/b', command: { kind: 'sensitivity', sensitivity: 'low' } }],
    ['nursery/snapshot/set', 'PRESS', { camera: 'nursery', command: { kind: 'snapshot' } }],
    ['nursery/listening/set', '1', { problem: '"1" on "home/hearthcam/nursery/listening/set" is not ON or OFF' }],
    ['a%2fb/snapshot/set', 'PRESS', { problem: '"a%2fb" is no camera' }],
    ['nursery/listening', 'ON', null],
    ['nursery/volume/set', 'ON', null],
  ];
  for (const [topic, payload, expected] of rows) {
    assert.deepEqual(parseCommand(topics, `home/hearthcam/${topic}`, Buffer.from(payload)), expected, topic);
  }
  assert.equal(parseCommand(topics, 'hearthcam/nursery/listening/set', Buffer.from('ON')), null);
});

test('any topic and any bytes are a command or a short line for the log, without what a terminal would obey', () => {
  const level = fc.oneof(
    fc.string(),
    fc.constantFrom('listening', 'sensitivity', 'snapshot', 'set', 'nursery', '%', ''),
  );
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom('ON', 'PRESS', 'high').map((word) => Buffer.from(word)),
  );
  fc.assert(
    fc.property(fc.array(level, { maxLength: 5 }), payload, (levels, bytes) => {
      const parsed = parseCommand(topics, ['home/hearthcam', ...levels].join('/'), Buffer.from(bytes));
      if (parsed === null || !('problem' in parsed)) return;
      assert.ok(parsed.problem.length < 600, `${parsed.problem.length} characters`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
      assert.doesNotMatch(parsed.problem, /[\u0000-\u001f\u007f-\u009f]/);
    }),
    runs,
  );
});
