import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takesTalk } from '../logic/talk.ts';
import { microphoneText, refusedText } from './texts.ts';

test('a camera takes sound where the server says that some is sent to it', () => {
  const answer = (medias: readonly string[], consumers: readonly string[] = []): string =>
    JSON.stringify({ producers: [{ url: 'rtsp://x', medias }], consumers: [{ medias: consumers }] }, null, 2);
  assert.equal(takesTalk(answer(['video, recvonly, H264', 'audio, sendonly, PCMA/8000'])), true);
  assert.equal(takesTalk(answer(['video, recvonly, H264', 'audio, recvonly, PCMA/8000'])), false);
  // What is sent to viewers is no loudspeaker.
  assert.equal(takesTalk(answer(['video, recvonly, H264'], ['audio, sendonly, OPUS'])), false);
  assert.equal(takesTalk(''), false);
});

test('why nobody is heard is said in words', () => {
  assert.match(microphoneText('NotAllowedError'), /not allowed/);
  assert.match(microphoneText('NotFoundError'), /has no microphone/);
  assert.match(microphoneText('Whatever'), /no microphone/);
  assert.equal(refusedText(409, 'somebody is speaking to "porch"\n'), 'Somebody is speaking to "porch"');
  assert.equal(refusedText(500, "can't find consumer (…)"), 'This camera takes no sound');
  assert.equal(refusedText(502, '<html>'), 'The server answered with status 502');
});
