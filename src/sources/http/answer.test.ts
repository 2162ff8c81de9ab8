import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindByType } from './answer.ts';

const types = [
  ['multipart/x-mixed-replace; boundary=x', '/', 'multipart'],
  ['image/jpeg', '/', 'still'],
  ['application/vnd.apple.mpegurl', '/', 'hls'],
  ['Application/X-MpegURL;charset=utf-8', '/', 'hls'],
  ['text/plain', '/live/index.m3u8', 'hls'],
  ['audio/basic', '/', 'pcmu'],
  ['text/html; charset=utf-8', '/', 'web'],
  ['video/x-flv', '/', undefined],
  ['', '/flv', undefined],
] as const;
for (const [type, path, want] of types) {
  test(`"${type}" at ${path} is taken for ${want ?? 'what its bytes are'}`, () => {
    assert.equal(kindByType(type, path), want);
  });
}
