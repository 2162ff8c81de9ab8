import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, type LogOptions, LogRing } from './sink.ts';

function open(over: Partial<LogOptions> = {}) {
  const ring = new LogRing();
  const written: string[] = [];
  const log = createLog({
    level: 'info',
    format: 'text',
    write: (line) => void written.push(line),
    mask: (text) => text.replaceAll('secret', '***'),
    ring,
    ...over,
  });
  return { log, ring, written };
}

test('a text line is what Home Assistant parses: time, level, module, message, fields', () => {
  const { log, written } = open();
  log.child('api').info('listen', { addr: ':1984', what: 'two words' });
  assert.match(written[0] ?? '', /^\d\d:\d\d:\d\d\.\d{3} INF \[api\] listen addr=:1984 what="two words"\n$/);
});

test('a message stays one line without control characters, whatever a camera has answered', () => {
  const { log, written } = open();
  log.warn('it said\r\n12:00:00.000 ERR \u001b[31mred\n', { reason: 'a\nb' });
  assert.match(written[0] ?? '', / WRN it said 12:00:00\.000 ERR +\[31mred reason="a\\nb"\n$/);
});

test('a JSON line names its module once, the innermost', () => {
  const { log, written, ring } = open({ format: 'json' });
  log.child('streams').child('rtsp').warn('secret');
  assert.equal(written[0]?.split('"module"').length, 2);
  const line: unknown = JSON.parse(written[0] ?? '');
  assert.ok(typeof line === 'object' && line !== null && 'module' in line && 'message' in line);
  assert.deepEqual([line.module, line.message], ['rtsp', '***']);
  assert.equal(ring.text(), written[0]);
});

test('a module has its own level, also below another module', () => {
  const { log, written } = open({ moduleLevels: { rtsp: 'debug' } });
  log.child('streams').debug('quiet');
  log.child('streams').child('rtsp').debug('heard');
  assert.equal(written.length, 1);
});
