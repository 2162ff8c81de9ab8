import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeTestHub } from '../../testkit/hub.ts';
import { HearthcamError } from './errors.ts';
import type { SourceModule } from './source.ts';
import { allowedOverHttp } from './source-policy.ts';

const run = (): Promise<void> => Promise.resolve();
const sources: SourceModule[] = [
  { name: 'rtsp', schemes: ['rtsp', 'rtsps', 'rtspx'], run },
  { name: 'http', schemes: ['http', 'https', 'httpx'], run },
  { name: 'ffmpeg', schemes: ['ffmpeg'], run },
  { name: 'stream', schemes: [''], run },
  { name: 'file', schemes: ['file'], configOnly: true, run },
  { name: 'demo', schemes: ['demo'], run },
];
const { hub } = makeTestHub({ sources, streams: { front: [], 'generic_a%2Fb': [] } });

const allowed = [
  'rtsp://u:p@192.0.2.1/stream1#timeout=5',
  'rtsps://cam.lan/x',
  'rtspx://cam.lan/x',
  'http://cam/flv?port=1935&app=bcs',
  'httpx://cam/snap.jpg',
  'front',
  'ffmpeg:front#audio=opus#query=log_level=debug',
  'ffmpeg:front?video=copy#audio=opus',
  'ffmpeg:generic_a%2Fb#audio=opus',
  'ffmpeg:new#audio=opus#query=log_level=debug',
  'ffmpeg:rtsp://u:p@192.0.2.1/stream1',
  'ffmpeg:http://192.0.2.1/video.mjpg#video=h264',
  'ffmpeg:rtsp://192.0.2.1/1#video=h264#audio=copy#rotate=180',
  'ffmpeg:rtsp://192.0.2.1/1#video=h264#audio=copy#raw=-vf hflip',
  'ffmpeg:rtsp://192.0.2.1/1#video=h264#audio=copy#raw=-vf transpose=2,vflip',
];
for (const text of allowed) test(`over HTTP: ${text} is let in`, () => allowedOverHttp(text, hub, ['new']));

const insecure = 'streams: source from insecure producer';
const spaces = 'streams: source with spaces may be insecure';
const unsupported = 'streams: source not supported';
const refused = [
  ['exec:rm -rf /', insecure],
  ['echo:curl http://x', insecure],
  ['expr:1+1', insecure],
  ['EXEC:ffmpeg', insecure],
  ['file:///etc/passwd', insecure],
  ['demo:1', insecure],
  ['ffmpeg:/etc/passwd', insecure],
  ['ffmpeg:../secret.mp4', insecure],
  ['ffmpeg:file:///etc/passwd', insecure],
  ['ffmpeg:exec:ls', insecure],
  ['ffmpeg:device?video=0', insecure],
  ['ffmpeg:virtual?video=testsrc', insecure],
  ['rtsp://cam/a b', spaces],
  ['rtsp://cam/#header=A: b', spaces],
  ['rtsp://cam/x\n', spaces],
  ['ffmpeg:front#raw=-vf hflip -f null', spaces],
  ['ffmpeg:front#raw=-vf drawtext=textfile=/etc/passwd ', spaces],
  ['ffmpeg:front#raw=-vf  hflip', spaces],
  ['rtsp://cam/#raw=-vf hflip', spaces],
  ['ffmpeg:nobody#audio=opus', unsupported],
  ['gopher://cam', unsupported],
  ['nobody', unsupported],
  ['', unsupported],
] as const;
for (const [text, message] of refused) {
  test(`over HTTP: ${JSON.stringify(text)} is refused: ${message}`, () => {
    assert.throws(
      () => allowedOverHttp(text, hub, ['new']),
      (error: unknown) => error instanceof HearthcamError && error.status === 400 && error.message === message,
    );
  });
}

test('over HTTP: any text is let in or refused with 400', () => {
  fc.assert(
    fc.property(fc.constantFrom('', 'ffmpeg:', 'rtsp://', 'exec:', 'http:'), fc.string(), (start, rest) => {
      try {
        allowedOverHttp(start + rest, hub);
      } catch (error) {
        assert.ok(error instanceof HearthcamError && error.status === 400);
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
