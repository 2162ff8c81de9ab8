import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audioFormat, videoFormat } from '../../testkit/scripted-source.ts';
import { waitFor } from '../../testkit/wait.ts';
import { Fanout } from './fanout.ts';
import type { AccessUnit } from './media.ts';

const video = videoFormat();
const audio = audioFormat();

function unit(kind: 'video' | 'audio', pts: number, key = kind === 'audio', bytes = 10): AccessUnit {
  const format = kind === 'video' ? video : audio;
  return {
    trackId: kind === 'video' ? 0 : 1,
    format,
    pts,
    dts: pts,
    key,
    data: Buffer.alloc(bytes),
    wallMs: 0,
    arrivedMs: 0,
  };
}

function make(maxGopBytes = 1000): { fanout: Fanout; errors: unknown[] } {
  const errors: unknown[] = [];
  return { fanout: new Fanout({ maxGopBytes, onListenerError: (error) => errors.push(error) }), errors };
}

const shape = (units: readonly AccessUnit[]): string =>
  units.map((one) => `${one.format.kind[0]}${one.pts}${one.format.kind === 'video' && one.key ? 'K' : ''}`).join(' ');

test('everything that one read completed is handed on in one piece', () => {
  const { fanout } = make();
  const bursts: string[] = [];
  fanout.subscribe((units) => bursts.push(shape(units)));
  fanout.push(unit('video', 1, true));
  fanout.push(unit('video', 2));
  assert.deepEqual(bursts, []);
  fanout.flush();
  fanout.flush();
  assert.deepEqual(bursts, ['v1K v2']);
});

test('audio waits for the next picture and rides along in order, except for those who ask for it at once', () => {
  const { fanout } = make();
  const riding: string[] = [];
  const immediate: string[] = [];
  fanout.subscribe((units) => riding.push(shape(units)));
  fanout.subscribe((units) => immediate.push(shape(units)), { immediate: true });
  for (const one of [unit('video', 1, true), unit('audio', 2), unit('audio', 3), unit('video', 4)]) {
    fanout.push(one);
    fanout.flush();
  }
  assert.deepEqual(riding, ['v1K', 'a2 a3 v4']);
  assert.deepEqual(immediate, ['v1K', 'a2', 'a3', 'v4']);
});

test('audio without a picture to ride with is handed on after a moment', async () => {
  const { fanout } = make();
  const bursts: string[] = [];
  fanout.subscribe((units) => bursts.push(shape(units)));
  fanout.push(unit('video', 1, true));
  fanout.flush();
  fanout.push(unit('audio', 2));
  fanout.flush();
  assert.deepEqual(bursts, ['v1K']);
  await waitFor(() => bursts.length === 2);
  assert.deepEqual(bursts, ['v1K', 'a2']);
});

test('a stream without video hands audio on at once', () => {
  const { fanout } = make();
  const bursts: string[] = [];
  fanout.subscribe((units) => bursts.push(shape(units)));
  fanout.push(unit('audio', 1));
  fanout.flush();
  assert.deepEqual(bursts, ['a1']);
});

test('a viewer who joins gets all since the last key frame, and then exactly what follows', () => {
  const { fanout } = make();
  const first: string[] = [];
  fanout.subscribe((units) => first.push(shape(units)));
  for (const one of [unit('video', 1, true), unit('video', 2), unit('video', 3, true), unit('audio', 4)]) {
    fanout.push(one);
    fanout.flush();
  }
  const seen: string[] = [];
  fanout.settle();
  seen.push(shape(fanout.gop().units));
  fanout.subscribe((units) => seen.push(shape(units)));
  fanout.push(unit('video', 5));
  fanout.flush();
  assert.deepEqual(seen, ['v3K a4', 'v5']);
  assert.deepEqual(first, ['v1K', 'v2', 'v3K', 'a4', 'v5'], 'those who were there before lose and repeat nothing');
});

test('a GOP that outgrows its limit keeps its key frame alone, and says so', () => {
  const { fanout } = make(25);
  for (const one of [unit('video', 1, true), unit('video', 2), unit('video', 3), unit('video', 4)]) {
    fanout.push(one);
    fanout.flush();
  }
  assert.equal(shape(fanout.gop().units), 'v1K');
  assert.equal(fanout.gop().complete, false);
  fanout.push(unit('video', 5, true));
  fanout.flush();
  assert.equal(shape(fanout.gop().units), 'v5K');
  assert.equal(fanout.gop().complete, true);
});

test('nothing is kept before the first key frame', () => {
  const { fanout } = make();
  fanout.push(unit('video', 1));
  fanout.flush();
  assert.deepEqual(fanout.gop().units, []);
});

test('a listener that fails is reported and takes nothing from the others', () => {
  const { fanout, errors } = make();
  const seen: string[] = [];
  fanout.subscribe(() => {
    throw new Error('broken output');
  });
  fanout.subscribe((units) => seen.push(shape(units)));
  fanout.push(unit('video', 1, true));
  fanout.flush();
  assert.deepEqual(seen, ['v1K']);
  assert.equal(errors.length, 1);
});

test('a listener may leave while it is being served', () => {
  const { fanout } = make();
  let count = 0;
  const leave = fanout.subscribe(() => {
    count++;
    leave();
  });
  for (let pts = 0; pts < 3; pts++) {
    fanout.push(unit('video', pts, true));
    fanout.flush();
  }
  assert.equal(count, 1);
  assert.equal(fanout.listenerCount, 0);
});
