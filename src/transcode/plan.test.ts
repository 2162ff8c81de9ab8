import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audioFormat, videoFormat } from '../../testkit/scripted-source.ts';
import type { AudioCodec, Track, VideoCodec } from '../core/media.ts';
import { type MediaWant, negotiate } from '../core/negotiate.ts';
import type { RemakePlan } from '../core/remaking.ts';
import { type Target, targetKey, type VideoTarget } from '../core/targets.ts';
import { planRemake } from './plan.ts';
import type { TranscodeMode } from './settings.ts';

const WEBRTC: readonly MediaWant[] = [
  { kind: 'video', codecs: ['h264'], inOrder: true },
  { kind: 'audio', codecs: ['pcma', 'pcmu', 'opus'] },
];
const MSE: readonly MediaWant[] = [
  { kind: 'video', codecs: ['h264'] },
  { kind: 'audio', codecs: ['aac', 'flac', 'pcma', 'pcmu', 'l16', 'opus'] },
];
const HLS: readonly MediaWant[] = [
  { kind: 'video', codecs: ['h264', 'h265'] },
  { kind: 'audio', codecs: ['aac'] },
];

function tracks(video: VideoCodec | null, audio: AudioCodec | null, reorderDepth = 0): Track[] {
  const made: Track[] = [];
  if (video !== null) {
    const format = videoFormat({ codec: video, reorderDepth });
    made.push({ id: 0, kind: 'video', codec: video, format, bytes: 0, units: 0 });
  }
  if (audio !== null) {
    made.push({ id: 1, kind: 'audio', codec: audio, format: audioFormat({ codec: audio }), bytes: 0, units: 0 });
  }
  return made;
}

interface Case {
  readonly name: string;
  readonly have: Track[];
  readonly wants: readonly MediaWant[];
  readonly mode: TranscodeMode;
  readonly recipes?: readonly Target[];
  readonly hardware?: boolean;
  readonly picture?: VideoTarget;
}

function plan(one: Case): RemakePlan {
  const inputs = {
    tracks: one.have,
    recipes: one.recipes ?? [],
    mode: one.mode,
    hardwareMakes: () => one.hardware ?? false,
  };
  return planRemake(inputs, negotiate(one.have, one.wants), one.wants, one.picture);
}

function shown({ tracks: made }: RemakePlan): string {
  if (made === null) return 'nothing made';
  return made
    .map((track) => ('make' in track ? targetKey(track.make) : `${String(track.copy.codecs)} as it is`))
    .join(', ');
}

const cases: readonly [Case, string][] = [
  [{ name: 'AAC by WebRTC', have: tracks('h264', 'aac'), wants: WEBRTC, mode: 'audio' }, 'h264 as it is, opus'],
  [{ name: 'A-law by WebRTC', have: tracks('h264', 'pcma'), wants: WEBRTC, mode: 'auto' }, 'nothing made'],
  [{ name: 'A-law by HLS', have: tracks('h264', 'pcma'), wants: HLS, mode: 'audio' }, 'h264 as it is, aac'],
  [{ name: 'G.726 by MSE', have: tracks('h264', 'g726'), wants: MSE, mode: 'audio' }, 'h264 as it is, aac'],
  [{ name: 'no sound at all', have: tracks('h264', null), wants: MSE, mode: 'auto' }, 'nothing made'],
  [{ name: 'H.265 by MSE, audio only', have: tracks('h265', 'aac'), wants: MSE, mode: 'audio' }, 'nothing made'],
  [{ name: 'H.265 by MSE, auto', have: tracks('h265', 'aac'), wants: MSE, mode: 'auto' }, 'h264, aac as it is'],
  [
    { name: 'H.265 by MSE, with hardware', have: tracks('h265', 'aac'), wants: MSE, mode: 'audio', hardware: true },
    'h264, aac as it is',
  ],
  [
    {
      name: 'H.265 by MSE, with hardware, never',
      have: tracks('h265', 'g726'),
      wants: MSE,
      mode: 'never',
      hardware: true,
    },
    'nothing made',
  ],
  [{ name: 'H.265 and AAC by WebRTC, auto', have: tracks('h265', 'aac'), wants: WEBRTC, mode: 'auto' }, 'h264, opus'],
  [{ name: 'H.265 and AAC by WebRTC, audio', have: tracks('h265', 'aac'), wants: WEBRTC, mode: 'audio' }, 'opus'],
  [{ name: 'B-frames by WebRTC, auto', have: tracks('h264', null, 2), wants: WEBRTC, mode: 'auto' }, 'h264'],
  [{ name: 'B-frames by WebRTC, audio', have: tracks('h264', null, 2), wants: WEBRTC, mode: 'audio' }, 'nothing made'],
  [{ name: 'B-frames by MSE', have: tracks('h264', 'aac', 2), wants: MSE, mode: 'auto' }, 'nothing made'],
  [
    {
      name: 'a recipe of the owner counts where the switch is off',
      have: tracks('h264', 'aac'),
      wants: WEBRTC,
      mode: 'never',
      recipes: [{ kind: 'audio', codec: 'opus', bitrateKbps: 24 }],
    },
    'h264 as it is, opus bitrateKbps=24',
  ],
  [
    {
      name: 'JPEG is made unless nothing is',
      have: tracks('h264', 'aac'),
      wants: [{ kind: 'video', codecs: ['jpeg'] }],
      mode: 'audio',
    },
    'jpeg',
  ],
  [
    {
      name: 'a rendition replaces a picture that would do',
      have: tracks('h264', 'aac'),
      wants: HLS,
      mode: 'audio',
      picture: { kind: 'video', codec: 'h264', height: 360 },
    },
    'h264 height=360, aac as it is',
  ],
  [
    {
      name: 'a rendition of a codec that the viewer lacks',
      have: tracks('h265', 'pcma'),
      wants: HLS.map((want) => (want.kind === 'video' ? { ...want, codecs: ['h264'] as const } : want)),
      mode: 'never',
      picture: { kind: 'video', codec: 'h264', height: 360 },
    },
    'h264 height=360',
  ],
  [
    {
      name: 'all tracks are wanted',
      have: tracks('h264', 'aac'),
      wants: [{ kind: 'audio', codecs: ['opus'], all: true }],
      mode: 'auto',
    },
    'nothing made',
  ],
];
for (const [one, expected] of cases) {
  test(`what is made: ${one.name} (${one.mode}): ${expected}`, () => assert.equal(shown(plan(one)), expected));
}

test('a B-frame stream is made anew although its codec is the one that is wanted', () => {
  const made = plan({ name: '', have: tracks('h264', null, 2), wants: WEBRTC, mode: 'auto' });
  assert.deepEqual(made.tracks, [{ make: { kind: 'video', codec: 'h264' }, always: true }]);
});

const refusals: readonly [Case, RegExp, string | undefined][] = [
  [
    { name: 'H.265', have: tracks('h265', 'aac'), wants: MSE, mode: 'audio' },
    /picture is H\.265.*making H\.264 of it is done only on request/,
    'write "transcode: auto", or set the camera to H.264',
  ],
  [
    { name: 'B-frames', have: tracks('h264', null, 1), wants: WEBRTC, mode: 'audio' },
    /H\.264 has B-frames.*making H\.264 without them/,
    'write "transcode: auto", or set the camera to H.264',
  ],
  [
    { name: 'sound switched off', have: tracks('h264', 'aac'), wants: WEBRTC, mode: 'never' },
    /sound is AAC.*making Opus of it is switched off/,
    'write "transcode: audio"',
  ],
  [
    {
      name: 'what nothing makes',
      have: tracks('h264', 'aac'),
      wants: [{ kind: 'video', codecs: ['av1'] }],
      mode: 'auto',
    },
    /sends H\.264, and AV1 is never made/,
    undefined,
  ],
  [
    {
      name: 'a JPEG of another size',
      have: tracks('h264', null),
      wants: [{ kind: 'video', codecs: 'any' }],
      mode: 'never',
      picture: { kind: 'video', codec: 'jpeg', fps: 5 },
    },
    /making JPEGs of the camera's H\.264 is switched off/,
    'write "transcode: audio"',
  ],
];
for (const [one, reason, hint] of refusals) {
  test(`the owner is told why ${one.name} is missing, and what would give it`, () => {
    const [refused] = plan(one).refused;
    assert.match(refused?.reason ?? '', reason);
    assert.equal(refused?.hint, hint);
  });
}
