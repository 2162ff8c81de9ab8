import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { z } from 'zod';
import { startTestApp } from '../testkit/app.ts';
import { Mosquitto } from '../testkit/mosquitto.ts';
import { MqttWatch } from '../testkit/mqtt-watch.ts';
import { shared } from '../testkit/shared.ts';
import { waitFor } from '../testkit/wait.ts';

let models: string;
let dataDir: string;
before(async () => {
  models = await mkdtemp(join(tmpdir(), 'hearthcam-models-'));
  dataDir = await mkdtemp(join(tmpdir(), 'hearthcam-data-'));
  await copyFile(shared('models/yamnet.tflite'), join(models, 'yamnet.tflite'));
});
after(async () => {
  await rm(models, { recursive: true, force: true });
  await rm(dataDir, { recursive: true, force: true });
});

/** The names that are promised, and no others. */
const message = z.strictObject({
  id: z.string().min(5),
  camera: z.literal('nursery'),
  detection: z.literal('cry'),
  state: z.enum(['started', 'updated', 'ended']),
  confidence: z.number().min(0).max(1),
  timestamp: z.iso.datetime({ offset: false }),
  duration: z.number().min(0),
  peak_confidence: z.number().optional(),
  mean_confidence: z.number().optional(),
  clip: z.string().optional(),
  snapshot: z.string().optional(),
  late: z.boolean().optional(),
});

/** An RTSP camera: ffmpeg plays a minute of a development scene in real time, with a picture. */
function camera(rtspUrl: string, coding: readonly string[]): ChildProcess & Disposable {
  const child = spawn(
    'ffmpeg',
    [
      ...['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=10'],
      ...['-ss', '2', '-i', shared('audio/scenes/nursery.flac')],
      ...[
        '-c:v',
        'libx264',
        '-preset',
        'ultrafast',
        '-tune',
        'zerolatency',
        '-g',
        '10',
        '-pix_fmt',
        'yuv420p',
        ...coding,
      ],
      ...['-f', 'rtsp', '-rtsp_transport', 'tcp', `${rtspUrl}/nursery`],
    ],
    { stdio: 'ignore' },
  );
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

for (const [codec, coding, restarts] of [
  ['A-law', ['-c:a', 'pcm_alaw', '-ar', '8000', '-ac', '1'], false],
  ['AAC', ['-c:a', 'aac', '-ar', '16000', '-ac', '1', '-b:a', '32k'], true],
] as const) {
  test(`a cry in ${codec} is on MQTT from its onset to its end, in the store and as a clip${restarts ? ', through a restart of the broker' : ''}`, async () => {
    const lines = ['allow_anonymous true', 'persistence true', 'persistence_location %DIR%/'];
    await using broker = await Mosquitto.start({ lines });
    await using watch = await MqttWatch.connect(broker.url, 'hearthcam/#', { clientId: 'watch', clean: false });
    await using app = await startTestApp({
      streams: { nursery: [] },
      sections: { listen: { cameras: ['nursery'] }, mqtt: { url: broker.url } },
      modelsDir: models,
      dataDir: join(dataDir, codec),
    });
    using _camera = camera(app.rtspUrl, coding);
    await watch.last('hearthcam/status', (payload) => payload === 'online');
    const cries = () => watch.of('hearthcam/nursery/cry').map(({ payload }) => message.parse(JSON.parse(payload)));
    await waitFor(() => cries().length > 0, { what: 'the onset on MQTT', timeoutMs: 30_000 });
    if (restarts) {
      await broker.kill('SIGTERM');
      await broker.run();
    }
    await waitFor(() => cries().some(({ state }) => state === 'ended'), { what: 'the end on MQTT', timeoutMs: 40_000 });
    const all = cries();
    const [first] = all;
    const mine = all.filter(({ id }) => id === first?.id);
    const states = mine.map(({ state }) => state);
    assert.deepEqual([states[0], states.at(-1)], ['started', 'ended']);
    assert.ok(
      states.slice(1, -1).every((state) => state === 'updated'),
      states.join(),
    );
    const durations = mine.map(({ duration }) => duration);
    assert.deepEqual(
      durations,
      durations.toSorted((a, b) => a - b),
    );
    assert.equal(durations[0], 0);
    const ended = mine.at(-1);
    // The scene has a cry from second 4.2 to 18, of which the camera plays all.
    assert.ok((ended?.duration ?? 0) > 8 && (ended?.duration ?? 0) < 20, `${ended?.duration} s`);
    assert.ok((ended?.peak_confidence ?? 0) > 0.5 && (ended?.mean_confidence ?? 0) > 0.3);

    const api = (path: string) => fetch(`${app.url}${path}`);
    const stored = await waitFor(
      async () => {
        const response = await api(`/api/events/${ended?.id}`);
        const text = await response.text();
        return response.ok && text.includes('"ended"') ? text : undefined;
      },
      { what: 'the event in the store' },
    );
    assert.match(stored, /"detection":\s*"cry"/);
    // Until five seconds behind the end.
    const clip = await waitFor(
      async () => {
        const response = await api(ended?.clip ?? '');
        return response.ok ? Buffer.from(await response.arrayBuffer()) : undefined;
      },
      { what: 'the clip', timeoutMs: 30_000, everyMs: 500 },
    );
    assert.equal(clip.subarray(4, 8).toString(), 'ftyp');
    const snapshot = await api(ended?.snapshot ?? '');
    assert.ok(snapshot.ok || snapshot.status === 404, String(snapshot.status));
  });
}
