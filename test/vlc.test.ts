import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { clipSource, makeClip, testPicture } from '../testkit/mp4-source.ts';

const run = promisify(execFile);
let app: TestApp;
let folder: string;

before(async () => {
  const camera = clipSource('clip', await makeClip(testPicture({ size: '320x240', fps: 25, gop: 25 })));
  app = await startTestApp({
    streams: { porch: ['clip:'] },
    preload: { porch: 'video&audio' },
    sources: [camera.module],
  });
  folder = await mkdtemp(join(tmpdir(), 'hearthcam-vlc-'));
  await chmod(folder, 0o777);
});
after(async () => {
  await app[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** What VLC, without a window, makes of an address in a few seconds: the packets of the file that it writes. */
async function vlcPlays(url: string, name: string): Promise<{ video: number; audio: number }> {
  const file = join(folder, `${name}.ts`);
  const vlc = [
    ...['cvlc', '--intf', 'dummy', '--no-media-library', '--run-time=4', url, 'vlc://quit'],
    ...['--sout', `#std{access=file,mux=ts,dst=${file}}`],
  ];
  // VLC refuses to run as root.
  const user = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const [command = '', ...args] = [...user, ...vlc];
  await run(command, args, { env: { ...process.env, HOME: folder }, timeout: 60_000 });
  const probe = ['-v', 'error', '-show_entries', 'packet=codec_type', '-of', 'csv=p=0', file];
  const { stdout } = await run('ffprobe', probe);
  const kinds = stdout.split('\n');
  return {
    video: kinds.filter((kind) => kind.startsWith('video')).length,
    audio: kinds.filter((kind) => kind.startsWith('audio')).length,
  };
}

const rows = [
  { name: 'MPEG-TS', path: '/api/stream.ts?src=porch' },
  { name: 'HLS', path: '/api/stream.m3u8?src=porch' },
  { name: 'MP4', path: '/api/stream.mp4?src=porch' },
];
for (const row of rows) {
  // Over RTSP Debian's VLC plays nothing at all: it is built without live555. `src/outputs/rtsp` holds that dialogue.
  test(`VLC plays ${row.name} with sound`, async () => {
    const got = await vlcPlays(app.url + row.path, row.name);
    assert.ok(got.video > 25, `${got.video} pictures`);
    assert.ok(got.audio > 10, `${got.audio} audio packets`);
  });
}
