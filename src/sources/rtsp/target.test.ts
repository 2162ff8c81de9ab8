import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from '../../core/errors.ts';
import { keepAliveMethod } from './memory.ts';
import { parseTarget } from './target.ts';

const rows: { text: string; host: string; port: number; url: string; login?: [string, string]; display?: string }[] = [
  { text: 'rtsp://cam/stream1', host: 'cam', port: 554, url: 'rtsp://cam/stream1' },
  { text: 'RTSP://cam', host: 'cam', port: 554, url: 'rtsp://cam/' },
  { text: 'rtsp://cam:8554?x=1', host: 'cam', port: 8554, url: 'rtsp://cam:8554?x=1' },
  { text: 'rtspx://10.0.0.1:7441/a', host: '10.0.0.1', port: 7441, url: 'rtsps://10.0.0.1:7441/a' },
  { text: 'rtsps://cam/a', host: 'cam', port: 322, url: 'rtsps://cam/a' },
  { text: 'rtsp://[fe80::1%eth0]:554/a', host: 'fe80::1%eth0', port: 554, url: 'rtsp://[fe80::1%eth0]:554/a' },
  { text: 'rtsp://u:p@10.0.0.1/a', host: '10.0.0.1', port: 554, url: 'rtsp://10.0.0.1/a', login: ['u', 'p'] },
  { text: 'rtsp://u@cam/a', host: 'cam', port: 554, url: 'rtsp://cam/a', login: ['u', ''] },
  { text: 'rtsp://u:p%40ss@cam/a', host: 'cam', port: 554, url: 'rtsp://cam/a', login: ['u', 'p@ss'] },
  { text: 'rtsp://u:100%@cam/a', host: 'cam', port: 554, url: 'rtsp://cam/a', login: ['u', '100%'] },
  { text: 'rtsp://u:p@ss@cam/a', host: 'cam', port: 554, url: 'rtsp://cam/a', login: ['u', 'p@ss'] },
  { text: 'rtsp://u:p/s@10.0.0.1/a', host: '10.0.0.1', port: 554, url: 'rtsp://10.0.0.1/a', login: ['u', 'p/s'] },
  {
    text: 'rtsp://u:p@s/s@10.0.0.1:88/a',
    host: '10.0.0.1',
    port: 88,
    url: 'rtsp://10.0.0.1:88/a',
    login: ['u', 'p@s/s'],
  },
  { text: 'rtsp://u:p@10.0.0.1/a@b', host: '10.0.0.1', port: 554, url: 'rtsp://10.0.0.1/a@b', login: ['u', 'p'] },
  { text: 'rtsp://cam:554/user=a@b', host: 'cam', port: 554, url: 'rtsp://cam:554/user=a@b' },
  { text: 'rtsp://cam/my stream/ä', host: 'cam', port: 554, url: 'rtsp://cam/my%20stream/%C3%A4' },
  {
    text: 'rtsp://u:p@cam/a?user=x&password=hunter2',
    host: 'cam',
    port: 554,
    url: 'rtsp://cam/a?user=x&password=hunter2',
    login: ['u', 'p'],
    display: 'rtsp://cam:554/a?user=***&password=***',
  },
];
for (const row of rows) {
  test(`the address ${row.text} leads to ${row.host}:${row.port}`, () => {
    const target = parseTarget(row.text);
    const login = target.credentials === null ? undefined : [target.credentials.user, target.credentials.password];
    assert.deepEqual([target.host, target.port, target.url, login], [row.host, row.port, row.url, row.login]);
    if (row.display !== undefined) assert.equal(target.display, row.display);
  });
}

test('any text is an address or refused with status 400', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.string().map((text) => `rtsp://${text}`),
      ),
      (text) => {
        try {
          assert.doesNotMatch(parseTarget(text).url, /\s/);
        } catch (error) {
          if (!(error instanceof HearthcamError) || error.status !== 400) throw error;
        }
      },
    ),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});

test('the keep-alive avoids what the camera did not like, and gives up when nothing is left', () => {
  const offered = new Set(['OPTIONS', 'GET_PARAMETER', 'SET_PARAMETER']);
  assert.equal(keepAliveMethod(offered, new Set()), 'GET_PARAMETER');
  assert.equal(keepAliveMethod(offered, new Set(['GET_PARAMETER'])), 'OPTIONS');
  assert.equal(keepAliveMethod(offered, new Set(['GET_PARAMETER', 'OPTIONS'])), 'SET_PARAMETER');
  assert.equal(keepAliveMethod(offered, offered), null);
  assert.equal(keepAliveMethod(new Set(), new Set(['OPTIONS'])), 'GET_PARAMETER');
});
