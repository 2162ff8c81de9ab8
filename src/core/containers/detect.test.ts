import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kindByBytes } from './detect.ts';

const ts = Buffer.alloc(188 * 5, 0xff);
for (let at = 0; at < ts.length; at += 188) ts[at] = 0x47;

const bytes = [
  ['FLV', Buffer.from('FLV\x01\x05\0\0\0\x09\0\0\0\0', 'latin1'), 'flv'],
  ['MPEG-TS', ts, 'mpegts'],
  ['MPEG-TS from the middle of a packet', ts.subarray(100), 'mpegts'],
  ['too little MPEG-TS', ts.subarray(0, 300), undefined],
  ['fragmented MP4', Buffer.from('\0\0\0\x18ftypiso5\0\0\0\0', 'latin1'), 'mp4'],
  ['H.264', Buffer.from('0000000167640029acd9401001', 'hex'), 'h264'],
  ['H.264 with a delimiter first', Buffer.from('0000000109f000000001674200', 'hex'), 'h264'],
  ['H.265', Buffer.from('0000000140010c01ffff016000', 'hex'), 'h265'],
  ['H.265 with a delimiter first', Buffer.from('000001460150000000014001aa', 'hex'), 'h265'],
  ['AAC', Buffer.from('fff1508001bffcde0200004c', 'hex'), 'aac'],
  ['MP3', Buffer.from('fffb9064000000000000000000', 'hex'), 'mp3'],
  ['WAV', Buffer.from('RIFF\xff\xff\xff\xffWAVEfmt ', 'latin1'), 'wav'],
  ['JPEG', Buffer.from('ffd8ffe000104a46494600010101', 'hex'), 'jpeg'],
  ['multipart without a header', Buffer.from('--frame\r\nContent-Type: image/jpeg'), 'multipart'],
  ['a playlist', Buffer.from('#EXTM3U\n#EXT-X-VERSION:3\n'), 'hls'],
  ['a web page', Buffer.from('\r\n<!DOCTYPE html><html>'), 'web'],
  ['text', Buffer.alloc(2000, 'hello '), null],
] as const;
for (const [name, data, want] of bytes) {
  test(`${name} is recognised by its bytes`, () => assert.equal(kindByBytes(data, false), want));
}

test('any bytes are of some kind, or of none when there are no more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1300 }), (data) => {
      assert.notEqual(kindByBytes(Buffer.from(data), true), undefined);
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});
