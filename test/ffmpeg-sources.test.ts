import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createApi } from '../src/api/module.ts';
import { allSections, layoutOf } from '../src/cli/settings.ts';
import { parseInput } from '../src/config/inputs.ts';
import { jsonSchema } from '../src/config/section.ts';
import { ConfigStore } from '../src/config/store.ts';
import { SecretMask } from '../src/core/secrets.ts';
import { LogRing } from '../src/logging/sink.ts';
import { outputs } from '../src/modules.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { ANY_VIDEO, collect } from '../testkit/hub.ts';
import { clipSource, makeClip, testPicture } from '../testkit/mp4-source.ts';

// What Home Assistant writes by PUT (compatibility.md 5.1, 8), against a camera with AAC.

interface Producers {
  readonly producers: readonly { readonly url: unknown }[] | null;
}

describe('ffmpeg: sources that Home Assistant puts', { timeout: 90_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'hearthcam-ffmpeg-'));
  const file = join(folder, 'hearthcam.yaml');
  let camera: TestApp;
  let app: TestApp;
  before(async () => {
    const clip = await makeClip(testPicture({ size: '320x240', gop: 25, seconds: 2 }));
    camera = await startTestApp({ streams: { cam: ['clip:'] }, sources: [clipSource('clip', clip).module] });
    writeFileSync(file, 'streams: {}\n');
    const mask = new SecretMask();
    const sections = allSections(outputs);
    const store = new ConfigStore({ inputs: [parseInput(file, folder)], sections, env: {}, mask });
    const api = createApi({
      settings: store,
      ring: new LogRing(),
      control: { restart: () => {}, exit: () => {} },
      show: (one) => one,
      mask: (one) => one,
      version: '1.9.15',
      ownVersion: '0.1.0',
      rtsp: { listen: ':8554', default_query: 'video&audio', pkt_size: 0 },
      schema: () => jsonSchema(sections),
    });
    app = await startTestApp({ ...layoutOf(store.current), outputs: [...outputs, api] });
  });
  after(async () => {
    await app[Symbol.asyncDispose]();
    await camera[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const put = async (name: string, ...sources: readonly string[]): Promise<[status: number, text: string]> => {
    const query = new URLSearchParams({ name });
    for (const source of sources) query.append('src', source);
    const answer = await fetch(`${app.url}/api/streams?${query}`, { method: 'PUT' });
    return [answer.status, await answer.text()];
  };
  const list = async (): Promise<Record<string, Producers>> => {
    const answer = await fetch(`${app.url}/api/streams`);
    // Checked border: what the test looks at is asserted where it is used.
    return (await answer.json()) as Record<string, Producers>;
  };

  test('a generic camera is passed on as it is, and made into Opus only for who asks for it', async () => {
    const id = 'generic_01K';
    const sources = [`ffmpeg:${camera.rtspUrl}/cam`, `ffmpeg:${id}#audio=opus#query=log_level=debug`];
    assert.deepEqual(await put(id, ...sources), [200, '']);
    const stream = app.app.hub.require(id);
    using watcher = await collect(stream);
    await watcher.wait('audio', 3);
    assert.deepEqual(
      watcher.consumer.tracks.map((track) => track.codec),
      ['h264', 'aac'],
    );
    assert.deepEqual(app.app.codecProcesses, [], 'nothing is transcoded');
    using viewer = await collect(stream, [ANY_VIDEO, { kind: 'audio', codecs: ['opus'] }]);
    await viewer.wait('video', 3);
    const [sound] = await viewer.wait('audio', 3);
    assert.equal(sound?.format.codec, 'opus');
    const urls = (await list())[id]?.producers?.map((producer) => producer.url) ?? [];
    assert.deepEqual(urls.slice(0, 2), sources, 'each has the url that was put, also while it is active');
    assert.ok(urls.every((url) => typeof url === 'string'));
    const soFar = viewer.of('audio').length;
    assert.deepEqual(await put(id, ...sources), [200, ''], 'again, as at every view');
    await viewer.wait('audio', soFar + 5);
    assert.deepEqual([viewer.ended(), watcher.ended()], [undefined, undefined]);
  });

  for (const [name, turned, width, height] of [
    ['#rotate=90', '#rotate=90', 240, 320],
    ['#rotate=180', '#rotate=180', 320, 240],
    ['a mirror', '#raw=-vf hflip', 320, 240],
    ['a turn and a mirror', '#raw=-vf transpose=2,vflip', 240, 320],
  ] as const) {
    test(`a camera's orientation is followed: ${name}`, async () => {
      const source = `ffmpeg:${camera.rtspUrl}/cam#video=h264#audio=copy${turned}`;
      assert.deepEqual(await put('turned', source), [200, '']);
      using viewer = await collect(app.app.hub.require('turned'));
      const [picture] = await viewer.wait('video', 1);
      const [sound] = await viewer.wait('audio', 1);
      assert.ok(picture?.format.kind === 'video');
      assert.deepEqual([picture.format.width, picture.format.height, sound?.format.codec], [width, height, 'aac']);
      assert.deepEqual(
        (await list())['turned']?.producers?.map((producer) => producer.url),
        [source],
      );
    });
  }

  for (const [what, source, text] of [
    ['an unknown codec', '#video=theora', /#video=theora: there is no such codec/],
    ['0x0', '#video=h264#width=0#height=0', /#width must be a whole number of pixels from 16 to 8192/],
    ['100000x100000', '#video=h264#width=100000#height=100000', /#width must be/],
    ['unknown hardware', '#video=h264#hardware=voodoo', /no hardware "voodoo"/],
    ['an argument that could write elsewhere', '#video=h264#raw=-f', /#raw: -f can't be done here/],
    ['other filters with a space', '#video=h264#raw=-vf drawbox', /source with spaces may be insecure/],
  ] as const) {
    test(`${what} is refused with the reason, and nothing is stored`, async () => {
      const [status, answer] = await put('impossible', `ffmpeg:${camera.rtspUrl}/cam${source}`);
      assert.equal(status, 400);
      assert.match(answer, text);
      assert.equal(app.app.hub.get('impossible'), undefined);
    });
  }

  for (const source of [
    'ffmpeg:/etc/passwd',
    'ffmpeg:file:///etc/passwd',
    'ffmpeg:secret.mp4',
    'ffmpeg:./secret.mp4',
    'ffmpeg:rtmp://192.0.2.1/live',
    'ffmpeg:udp://0.0.0.0:5000',
    'ffmpeg:concat:a|b',
    'ffmpeg:exec:touch',
  ]) {
    test(`${source} is for the configuration file alone`, async () => {
      for (const name of ['other', source.slice('ffmpeg:'.length)]) {
        assert.deepEqual(await put(name, source), [400, 'streams: source from insecure producer\n']);
      }
    });
  }
});
