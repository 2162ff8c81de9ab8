import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { parseInput } from '../config/inputs.ts';
import { loadConfig } from '../config/load.ts';
import { outputs } from '../modules.ts';
import { modeOf } from '../transcode/settings.ts';
import { allSections, toAppConfig } from './settings.ts';

function appConfig(yaml: string) {
  const config = loadConfig({
    inputs: [parseInput('f', '/')],
    sections: allSections(outputs),
    references: { env: {}, credentialsDirectory: undefined, readFile: () => '' },
    readFile: () => yaml,
  });
  return toAppConfig(config, outputs, '/');
}

test('without a word about it sound is made, as many pictures at once as there are cores, and hardware is used', () => {
  const { transcode, renditions } = appConfig('streams: {a: rtsp://h}\n');
  assert.deepEqual(transcode, {
    mode: 'audio',
    streams: new Map(),
    maxEncodes: availableParallelism(),
    hardware: 'auto',
  });
  assert.deepEqual(renditions, {});
});

test('what the owner wrote of transcoding reaches the app: the general word, that of a camera, and renditions', () => {
  const { transcode, renditions } = appConfig(`
transcode: {mode: never, max_encodes: 3, hardware: vaapi}
streams:
  porch: {url: rtsp://h, renditions: [360p]}
cameras:
  nursery: {main: rtsp://h/1, sub: rtsp://h/2, transcode: auto, renditions: [{name: tiny, width: 320, bitrate: 150k}]}
`);
  assert.ok(transcode !== undefined);
  assert.deepEqual([transcode.maxEncodes, transcode.hardware], [3, 'vaapi']);
  assert.deepEqual(
    ['porch', 'nursery', 'nursery_sub'].map((name) => modeOf(transcode, name)),
    ['never', 'auto', 'auto'],
  );
  assert.deepEqual(Object.keys(renditions ?? {}), ['porch', 'nursery']);
  assert.deepEqual(renditions?.['nursery'], [
    { name: 'tiny', picture: { kind: 'video', codec: 'h264', width: 320, bitrateKbps: 150, fps: 15 } },
  ]);
});

test('one word is the mode, and leaves the rest as it would be', () => {
  assert.deepEqual(appConfig('transcode: auto\n').transcode, {
    mode: 'auto',
    streams: new Map(),
    maxEncodes: availableParallelism(),
    hardware: 'auto',
  });
});
