import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HearthcamError } from '../src/core/errors.ts';
import type { MediaWant } from '../src/core/negotiate.ts';
import { DEFAULT_TRANSCODE, type TranscodeMode } from '../src/transcode/settings.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { collect } from '../testkit/hub.ts';
import { clipSource, makeClip, testPicture } from '../testkit/mp4-source.ts';
import { plainApi } from '../testkit/plain-api.ts';
import { waitFor } from '../testkit/wait.ts';

const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=0:pools=1'];
const WANTS: readonly MediaWant[] = [
  { kind: 'video', codecs: ['h264'] },
  { kind: 'audio', codecs: ['opus'] },
];

interface Shown {
  readonly producers: readonly { url: unknown }[] | null;
  readonly consumers: readonly { format_name: string; bytes_send?: number }[] | null;
}

describe('the API while tracks are made', { timeout: 60_000 }, () => {
  let app: TestApp;
  const streams = { cam: ['cam:'], other: ['cam:'] };
  before(async () => {
    const clip = await makeClip(testPicture({ size: '160x120', seconds: 2, video: X265 }));
    app = await startTestApp({
      streams,
      sources: [clipSource('cam', clip).module],
      outputs: [plainApi()],
      transcode: { ...DEFAULT_TRANSCODE, mode: 'auto', maxEncodes: 4 },
    });
  });
  after(() => app?.[Symbol.asyncDispose]());

  async function shown(): Promise<Record<string, Shown>> {
    // Checked border: what the assertions below look at.
    return (await (await fetch(`${app.url}/api/streams`)).json()) as Record<string, Shown>;
  }
  const apply = (mode: TranscodeMode): Promise<void> =>
    app.app.apply({ streams, cameras: {}, preload: {}, transcode: { ...DEFAULT_TRANSCODE, mode, maxEncodes: 4 } });

  test('sources have their address as a text, viewers are shown once, and the makers are none of them', async () => {
    using viewer = await collect(app.app.hub.require('cam'), WANTS);
    await viewer.wait('video', 5);
    await viewer.wait('audio', 5);
    const { cam } = await shown();
    assert.equal(cam?.producers?.[0]?.url, 'cam:');
    assert.ok(cam?.producers?.every(({ url }) => typeof url === 'string' && url !== ''));
    assert.deepEqual(
      cam?.consumers?.map((consumer) => consumer.format_name),
      ['test'],
    );
    assert.equal(app.app.codecProcesses.length, 2);
  });

  test('another mode is for those who come; who watches goes on', async () => {
    using viewer = await collect(app.app.hub.require('cam'), WANTS);
    await viewer.wait('video', 5);
    await apply('never');
    await viewer.wait('video', viewer.of('video').length + 10);
    await viewer.wait('audio', viewer.of('audio').length + 10);
    await assert.rejects(
      collect(app.app.hub.require('other'), WANTS.slice(0, 1)),
      (error: unknown) => error instanceof HearthcamError && /transcode: auto/.test(error.hint ?? ''),
    );
    await apply('auto');
    using next = await collect(app.app.hub.require('other'), WANTS);
    await next.wait('video', 5);
    assert.equal(viewer.ended(), undefined);
  });

  test('a stream that is removed while made tracks are watched ends them, and its processes', async () => {
    using viewer = await collect(app.app.hub.require('cam'), WANTS);
    await viewer.wait('video', 5);
    const answer = await fetch(`${app.url}/api/streams?src=cam`, { method: 'DELETE' });
    assert.equal(answer.status, 200);
    const reason = await waitFor(() => viewer.ended(), { what: 'the end' });
    assert.ok(reason instanceof HearthcamError);
    assert.equal(reason.code, 'stream.removed');
    await waitFor(() => app.app.codecProcesses.length === 0, { what: 'the end of the processes', timeoutMs: 15_000 });
    assert.equal((await shown())['cam'], undefined);
    app.app.hub.set('cam', ['cam:']);
    using again = await collect(app.app.hub.require('cam'), WANTS);
    await again.wait('video', 5);
    assert.deepEqual(app.log.find('error', /./), []);
  });
});
