import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { shared } from '../../testkit/shared.ts';
import { quietLog } from '../cli/log.ts';
import { readSound } from './decode/file.ts';
import { withOutput } from './process/graph.ts';
import { Scorer } from './scorer.ts';

const MODEL = shared('models/yamnet.tflite');
const CLIPS = shared('audio/clips');

const open = () => Scorer.open({ modelPath: MODEL, log: quietLog });

async function firstWindow(file: string): Promise<Float32Array<ArrayBuffer>> {
  const out = new Float32Array(15_600);
  let at = 0;
  for await (const { samples } of readSound(join(CLIPS, file), quietLog)) {
    for (const sample of samples) if (at < out.length) out[at++] = sample / 32_768;
  }
  return out;
}

for (const [file, expected] of [
  ['cry/esc10_crying_baby_3-152007-A.flac', /cry|sob/i],
  ['other/esc10_rooster_1-34119-B.flac', /rooster|crow|chicken|fowl/i],
  ['other/esc10_rain_1-17367-A.flac', /rain|water/i],
  ['other/speech_lj_LJ001-0002_0.flac', /speech/i],
] as const) {
  test(`the model knows what ${file} is`, async () => {
    await using scorer = await open();
    const impression = await scorer.seat().score(await firstWindow(file));
    assert.ok(impression !== null);
    assert.equal(impression.scores.length, 521);
    assert.equal(impression.embedding.length, 1_024);
    const best = [...impression.scores.entries()].sort((a, b) => b[1] - a[1]).slice(0, 3);
    const names = best.map(([index]) => scorer.labels[index] ?? '').join('; ');
    assert.match(names, expected);
  });
}

test('cameras take turns, and one that floods loses its own oldest windows', async () => {
  await using scorer = await open();
  const order: string[] = [];
  const flood = scorer.seat();
  const modest = scorer.seat();
  const window = () => new Float32Array(15_600);
  const floods = Array.from({ length: 40 }, () =>
    flood.score(window()).then((one) => (one === null ? 0 : order.push('f') && 1)),
  );
  const modests = [1, 2, 3].map(() => modest.score(window()).then((one) => (one === null ? 0 : order.push('m') && 1)));
  const scored = await Promise.all([Promise.all(floods), Promise.all(modests)]);
  const sums = scored.map((all) => all.reduce<number>((sum, one) => sum + one, 0));
  assert.equal(sums[1], 3, 'the other camera loses none');
  assert.ok((sums[0] ?? 0) <= 5 && (sums[0] ?? 0) >= 4);
  assert.ok(order.slice(0, 4).includes('m'));
  assert.equal(scorer.statistics.dropped, 40 - (sums[0] ?? 0));
});

test('a worker that dies is replaced, and what waited is scored', async () => {
  await using scorer = await open();
  const seat = scorer.seat();
  assert.ok((await seat.score(new Float32Array(15_600))) !== null);
  const first = scorer.threadId;
  const waiting = [1, 2, 3].map(() => seat.score(new Float32Array(15_600)));
  await scorer.crash();
  const done = await Promise.all(waiting);
  assert.ok(done.filter((one) => one !== null).length >= 2);
  assert.notEqual(scorer.threadId, first);
  assert.equal(scorer.statistics.restarts, 1);
});

test('a closed seat and a closed scorer answer instead of waiting for ever', async () => {
  const scorer = await open();
  const seat = scorer.seat();
  seat[Symbol.dispose]();
  assert.equal(await seat.score(new Float32Array(15_600)), null);
  const other = scorer.seat().score(new Float32Array(15_600));
  await scorer[Symbol.asyncDispose]();
  assert.equal(await other, null);
});

test('a file that is no model is refused', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hearthcam-scorer-'));
  const path = join(directory, 'yamnet.tflite');
  await writeFile(path, Buffer.alloc(5_000, 3));
  await assert.rejects(Scorer.open({ modelPath: path, log: quietLog }), { code: 'listen.model' });
  assert.throws(() => withOutput(Buffer.alloc(5_000, 3), 'x'), { code: 'listen.model' });
  await rm(directory, { recursive: true });
});
