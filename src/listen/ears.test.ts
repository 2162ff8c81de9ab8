import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startTestApp, type TestApp } from '../../testkit/app.ts';
import { shared } from '../../testkit/shared.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { CameraEvent, EarStatus, SoundLevel } from '../core/events.ts';
import { rtspOutput } from '../outputs/rtsp/module.ts';
import { listen } from './module.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearthcam-ears-'));
  await copyFile(shared('models/yamnet.tflite'), join(folder, 'yamnet.tflite'));
});
after(() => rm(folder, { recursive: true, force: true }));

interface Kit extends AsyncDisposable {
  readonly app: TestApp;
  readonly events: CameraEvent[];
  readonly levels: SoundLevel[];
  status(): Promise<EarStatus | undefined>;
}

async function start(settings: Readonly<Record<string, unknown>>, modelsDir = folder, dataDir?: string): Promise<Kit> {
  const app = await startTestApp({
    streams: { nursery: [], mute: [] },
    outputs: [rtspOutput, listen],
    sections: { listen: settings },
    modelsDir,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  const events: CameraEvent[] = [];
  const levels: SoundLevel[] = [];
  app.app.events.onEvent((event) => events.push(event));
  app.app.events.onLevel((level) => levels.push(level));
  return {
    app,
    events,
    levels,
    status: async () => {
      const response = await fetch(`${app.url}/api/ears`);
      // Checked border: our own API, whose shape the test is about.
      return ((await response.json()) as EarStatus[])[0];
    },
    [Symbol.asyncDispose]: () => app[Symbol.asyncDispose](),
  };
}

/** A camera: ffmpeg plays a minute of the nursery in real time and publishes it by RTSP. */
function camera(kit: Kit, from: string, coding: readonly string[], name = 'nursery'): ChildProcess & Disposable {
  const child = spawn(
    'ffmpeg',
    [
      ...['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=5'],
      ...(from === '' ? [] : ['-ss', from, '-i', shared('audio/scenes/nursery.flac')]),
      ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '5', ...coding],
      ...['-f', 'rtsp', '-rtsp_transport', 'tcp', `${kit.app.rtspUrl}/${name}`],
    ],
    { stdio: 'ignore' },
  );
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

const PCMA = ['-c:a', 'pcm_alaw', '-ar', '8000', '-ac', '1'];
const AAC = ['-c:a', 'aac', '-ar', '16000', '-ac', '1', '-b:a', '32k'];

for (const [codec, coding] of [
  ['A-law', PCMA],
  ['AAC', AAC],
] as const) {
  test(`a cry that a camera sends as ${codec} is told within seconds, while it lasts, and when it is over`, async () => {
    await using kit = await start({ cameras: ['nursery'] });
    using _camera = camera(kit, '2', coding);
    await waitFor(() => kit.events.length > 0, { what: 'the onset', timeoutMs: 25_000 });
    await waitFor(() => kit.events.some(({ state }) => state === 'ended'), { what: 'the end', timeoutMs: 40_000 });
    const [first] = kit.events;
    const ended = kit.events.find(({ state }) => state === 'ended');
    assert.deepEqual([first?.camera, first?.detection, first?.state], ['nursery', 'cry', 'started']);
    assert.equal(first?.durationMs, 0);
    assert.ok((first?.confidence ?? 0) > 0.5);
    assert.equal(ended?.id, first?.id);
    // The scene has a cry from second 4.2 to 18.
    assert.ok((ended?.durationMs ?? 0) > 8_000 && (ended?.durationMs ?? 0) < 20_000, `${ended?.durationMs} ms`);
    assert.ok(Math.abs(Date.now() - (first?.startMs ?? 0)) < 60_000);
    assert.ok(kit.events.filter(({ state, id }) => state === 'updated' && id === first?.id).length >= 1);
    assert.ok((ended?.scores.length ?? 0) > 5 && ended?.scores.every((score) => score >= 0 && score <= 1));
    assert.ok(kit.levels.length > 5 && kit.levels.every(({ dbfs }) => dbfs <= 0));
    assert.equal((await kit.status())?.available, true);
    // Only what is needed is made: G.711 is decoded here.
    assert.equal(kit.app.app.codecProcesses.length, codec === 'A-law' ? 0 : 1);
  });
}

test('an ear can be switched off and on and tuned, and stays so after a restart', async () => {
  const dataDir = join(folder, 'data');
  {
    await using kit = await start({ cameras: 'all' }, folder, dataDir);
    await waitFor(async () => (await kit.status()) !== undefined, { what: 'the ear' });
    const post = (query: string) => fetch(`${kit.app.url}/api/ears?${query}`, { method: 'POST' });
    const answer = await post('camera=nursery&listening=off&sensitivity=high');
    assert.equal(answer.status, 200);
    const status = (await answer.json()) as EarStatus;
    assert.deepEqual([status.listening, status.sensitivity, status.reason], [false, 'high', 'it is switched off']);
    assert.equal((await post('camera=nobody&listening=on')).status, 404);
    assert.equal((await post('camera=nursery&listening=maybe')).status, 400);
    await waitFor(async () => (await readFile(join(dataDir, 'listen/switches.json'), 'utf8').catch(() => '')) !== '');
  }
  await using kit = await start({ cameras: 'all' }, folder, dataDir);
  await waitFor(async () => (await kit.status()) !== undefined, { what: 'the ear' });
  const status = await kit.status();
  assert.deepEqual([status?.camera, status?.listening, status?.sensitivity], ['nursery', false, 'high']);
});

test('a camera without sound is told once, and the ear says why it hears nothing', async () => {
  await using kit = await start({ cameras: ['mute'] });
  using _camera = camera(kit, '', ['-an'], 'mute');
  await waitFor(async () => (await kit.status())?.reason === 'the camera sends no sound', {
    what: 'the reason',
    timeoutMs: 30_000,
  });
  assert.equal(kit.app.log.find('warn', /"mute" is not heard: the camera sends no sound/).length, 1);
});

test('a model file that is wrong is refused in words, and nothing else stops', async () => {
  const wrong = await mkdtemp(join(tmpdir(), 'hearthcam-model-'));
  await copyFile(shared('models/yolox_nano.onnx'), join(wrong, 'yamnet.tflite'));
  await using kit = await start({ cameras: ['nursery'] }, wrong);
  await waitFor(() => kit.app.log.find('error', /nothing can be heard/).length > 0, { what: 'the error' });
  await waitFor(async () => /model/.test((await kit.status())?.reason ?? ''), { what: 'the reason' });
  await rm(wrong, { recursive: true });
});

test('an event that is on ends when the camera is gone', async () => {
  await using kit = await start({ cameras: ['nursery'] });
  const child = camera(kit, '2', PCMA);
  await waitFor(() => kit.events.length > 0, { what: 'the onset', timeoutMs: 25_000 });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await waitFor(() => kit.events.some(({ state }) => state === 'ended'), { what: 'the end', timeoutMs: 30_000 });
});
