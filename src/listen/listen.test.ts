import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { shared } from '../../testkit/shared.ts';
import { quietLog } from '../cli/log.ts';
import { hearFile } from './evaluate/hearing.ts';
import { readSceneLabels } from './evaluate/labels.ts';
import { scoreStreams } from './evaluate/rules.ts';
import { hearingSvg } from './evaluate/svg.ts';
import { Scorer } from './scorer.ts';

const SCENES = shared('audio/scenes');
const work = await mkdtemp(join(tmpdir(), 'hearthcam-hear-'));
const scorer = await Scorer.open({ modelPath: shared('models/yamnet.tflite'), log: quietLog });
after(async () => {
  await scorer[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
});

/** The first minutes of the nursery, through a codec. */
function scene(extension: string, coding: readonly string[]): string {
  const out = join(work, `scene.${extension}`);
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-t', '300', '-i', join(SCENES, 'nursery.flac'), ...coding, out]);
  return out;
}

for (const [way, path] of [
  ['as it is', scene('flac', ['-c:a', 'copy'])],
  ['through A-law at 8 kHz', scene('wav', ['-ar', '8000', '-c:a', 'pcm_alaw'])],
  ['through AAC at 32 kb/s', scene('m4a', ['-c:a', 'aac', '-b:a', '32k'])],
  ['as 48 kHz stereo', scene('mka', ['-ar', '48000', '-ac', '2', '-c:a', 'libopus'])],
] as const) {
  test(`five minutes of a nursery ${way}: nearly all cries become events, in order and explained`, async () => {
    const hearing = await hearFile(path, { scorer, log: quietLog, cry: 'balanced' });
    const all = await readSceneLabels(join(SCENES, 'nursery.csv'));
    const labels = { ...all, lengthS: 300, bouts: all.bouts.filter(({ endS }) => endS < 300) };
    const started = hearing.detections.filter(({ state }) => state === 'started');
    const ended = hearing.detections.filter(({ state }) => state === 'ended');
    assert.equal(started.length, ended.length);
    const detections = started.map((one, index) => ({
      startS: one.knownMs / 1_000,
      endS: (ended[index]?.knownMs ?? 0) / 1_000,
      confidence: ended[index]?.confidence ?? 0,
    }));
    const score = scoreStreams([{ labels, detections }]);
    assert.ok(score.recall >= 0.8, `${score.found} of ${score.bouts}`);
    assert.ok(score.falseAlarms <= 1, JSON.stringify(score.alarms));
    assert.ok(score.delayMedianS <= 3);
    for (const one of ended) {
      assert.ok(one.startMs < one.endMs && one.confidence > 0.5 && one.evidence.length > 5);
      assert.ok(one.evidence.some(({ classes }) => classes.length > 0));
    }
    assert.match(hearingSvg(hearing, 'a <scene>'), /^<svg[\s\S]*a &lt;scene>[\s\S]*<\/svg>/);
  });
}

test('a file without sound, and one that is missing, are refused with the reason', async () => {
  await assert.rejects(hearFile(shared('video/person.mp4'), { scorer, log: quietLog, cry: null }), {
    code: 'listen.file',
    message: /holds no sound/,
  });
  await assert.rejects(hearFile(join(work, 'none.wav'), { scorer, log: quietLog, cry: null }), { code: 'listen.file' });
});
