import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretMask } from './secrets.ts';

const rows = [
  { name: 'user and password in a URL', in: 'rtsp://admin:hunter2@192.0.2.9:554/s', out: 'rtsp://***@192.0.2.9:554/s' },
  { name: 'a Tapo cloud password without user', in: 'tapo://Secret9@192.0.2.9', out: 'tapo://***@192.0.2.9' },
  {
    name: 'behind the ffmpeg prefix that Home Assistant puts',
    in: 'ffmpeg:rtsp://u:p@h/x#audio=opus',
    out: 'ffmpeg:rtsp://***@h/x#audio=opus',
  },
  { name: 'a password with a slash', in: 'rtsp://admin:pa/ss@h/x', out: 'rtsp://***@h/x' },
  { name: 'a password with an at sign', in: 'rtsp://admin:p@ss@h/x', out: 'rtsp://***@h/x' },
  { name: 'several URLs in a line', in: 'a http://u:p@h1/ b rtsp://x:y@h2/', out: 'a http://***@h1/ b rtsp://***@h2/' },
  {
    name: "Reolink's query",
    in: 'http://h/flv?port=1935&user=admin&password=hunter2',
    out: 'http://h/flv?port=1935&user=***&password=***',
  },
  {
    name: 'a password before a source parameter',
    in: 'http://h/?password=hunter2#timeout=5',
    out: 'http://h/?password=***#timeout=5',
  },
  { name: 'a URL without user info stays', in: 'rtsp://192.0.2.9/s?x=1&user=7', out: 'rtsp://192.0.2.9/s?x=1&user=7' },
  { name: 'a mail address stays', in: 'mail me@example.org', out: 'mail me@example.org' },
];
for (const row of rows) {
  test(`masked: ${row.name}`, () => assert.equal(new SecretMask().mask(row.in), row.out));
}

test('a value from the environment is masked wherever it shows up, also percent-encoded', () => {
  const mask = new SecretMask();
  mask.add('s3cr et!');
  mask.add('s3cr et!-longer');
  assert.equal(mask.mask('x=s3cr et! y=s3cr%20et! z=s3cr et!-longer'), 'x=*** y=*** z=***');
});

test('ports, addresses and short values are not worth masking', () => {
  const mask = new SecretMask();
  for (const value of ['8554', 'on', '192.0.2.9', 'true']) mask.add(value);
  assert.equal(mask.mask('listen 192.0.2.9:8554 on true'), 'listen 192.0.2.9:8554 on true');
});

test('a hostile line costs little time', () => {
  const mask = new SecretMask();
  const started = performance.now();
  for (const part of ['//', '//a:', '?password', '&user=', '@//', 'pass=']) mask.mask(part.repeat(20_000));
  assert.ok(performance.now() - started < 2_000);
});
