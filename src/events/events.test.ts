import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startTestApp, type TestApp } from '../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../testkit/browser.ts';
import { cameraEvent, FakeEars, later } from '../../testkit/events.ts';
import { type Clip, type ClipSource, clipSource, makeClip, readClip, testPicture } from '../../testkit/mp4-source.ts';
import { withPcma } from '../../testkit/pcma-clip.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { AccessPolicy } from '../core/contracts.ts';
import type { CameraEvent } from '../core/events.ts';
import type { EventDetails } from './message.ts';
import { events } from './module.ts';

const run = promisify(execFile);
const JPEG = Buffer.from('ffd8ffe000104a46494600010100000100010000ffd9', 'hex');
let folder: string;
let pcma: ClipSource;
let aac: ClipSource;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearthcam-events-'));
  const [silent, sounding] = await Promise.all([
    makeClip(testPicture({ gop: 12, seconds: 2, audio: [] })),
    makeClip(testPicture({ gop: 12, seconds: 2 })),
  ]);
  pcma = clipSource('pcma', await withPcma(silent));
  aac = clipSource('aac', sounding);
});
after(() => rm(folder, { recursive: true, force: true }));

interface Options {
  readonly name: string;
  readonly ears?: FakeEars;
  readonly clips?: Readonly<Record<string, unknown>>;
  readonly access?: AccessPolicy;
}

async function start({ name, ears, clips, access }: Options): Promise<TestApp> {
  const app = await startTestApp({
    streams: { nursery: ['pcma:1'], door: ['aac:1'] },
    sources: [pcma.module, aac.module],
    outputs: [events],
    dataDir: join(folder, name),
    stills: { still: () => Promise.resolve(JPEG) },
    sections: { events: { clips: { before_seconds: 2, after_seconds: 1, ...clips } } },
    ...(access === undefined ? {} : { access }),
  });
  if (ears !== undefined) app.app.events.ears = ears;
  return app;
}

function withoutSound(clip: Clip): Pick<Clip, 'tracks' | 'units'> {
  const video = clip.tracks.findIndex((track) => track.kind === 'video');
  const units = clip.units.filter((unit) => unit.track === video).map((unit) => ({ ...unit, track: 0 }));
  return { tracks: clip.tracks.filter((_track, index) => index === video), units };
}

/** What the API answers: a page of events, one of them, or an error. */
interface Body extends EventDetails {
  readonly events: readonly EventDetails[];
  readonly next: string | null;
  readonly error: { readonly code: string };
}

async function json(app: TestApp, path: string, init?: RequestInit): Promise<{ status: number; body: Body }> {
  const response = await fetch(`${app.url}${path}`, init);
  const text = await response.text();
  // Checked border: what it is not fails the test that looks at it.
  return { status: response.status, body: JSON.parse(text === '' ? '{}' : text) as Body };
}

/** Waits until the last seconds of a camera are kept. */
async function buffered(app: TestApp, stream: string, units = 60): Promise<void> {
  await waitFor(
    () => [...app.app.hub.require(stream).consumers].some((one) => one.formatName === 'clip' && one.unitsSent > units),
    { what: 'a buffered camera' },
  );
}

/** An event that lasts a second, and its clip. */
async function noticed(app: TestApp, given: Partial<CameraEvent>): Promise<CameraEvent> {
  const event = cameraEvent(given);
  app.app.events.emit(event);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const ended = later(event, 'ended', 1_000);
  app.app.events.emit(ended);
  await waitFor(async () => (await json(app, `/api/events/${event.id}`)).body.clip !== undefined, { what: 'a clip' });
  return ended;
}

async function probe(url: string): Promise<{ streams: string; seconds: number; loudestDb: number }> {
  const shown = ['-v', 'error', '-show_entries', 'stream=codec_name:format=duration', '-of', 'json', url];
  const { stdout, stderr } = await run('ffprobe', shown, { timeout: 30_000 });
  assert.equal(stderr, '');
  const { streams, format } = JSON.parse(stdout);
  const decode = ['-v', 'info', '-i', url, '-af', 'volumedetect', '-f', 'null', '-'];
  const decoded = await run('ffmpeg', decode, { timeout: 30_000 });
  return {
    streams: streams.map((one: { codec_name: string }) => one.codec_name).join(),
    seconds: Number(format.duration),
    loudestDb: Number(/max_volume: (-?[\d.]+) dB/.exec(decoded.stderr)?.[1]),
  };
}

test('an event has a clip with picture and sound from before it until after it, a snapshot, and a curve; all outlive a restart', async () => {
  const ears = new FakeEars(['nursery']);
  let app = await start({ name: 'whole', ears });
  let event: CameraEvent;
  try {
    await buffered(app, 'nursery', 250);
    event = await noticed(app, {});
    const { body } = await json(app, `/api/events/${event.id}`);
    assert.deepEqual([body.state, body.duration, body.detection, body.scores.length], ['ended', 1, 'cry', 3]);
    assert.equal(body.clip, `/api/events/${event.id}/clip.mp4`);
    const clip = await probe(`${app.url}${body.clip}`);
    assert.equal(clip.streams, 'h264,flac');
    // 2 s before, 1 s of the event, 1 s after, and up to a GOP of half a second more.
    assert.ok(clip.seconds > 3.5 && clip.seconds < 6.5, String(clip.seconds));
    assert.ok(clip.loudestDb > -20, String(clip.loudestDb));
    const snapshot = await fetch(`${app.url}${body.snapshot}`);
    assert.deepEqual(Buffer.from(await snapshot.arrayBuffer()), JPEG);
    assert.equal(snapshot.headers.get('content-type'), 'image/jpeg');
    const svg = await fetch(`${app.url}/api/events/${event.id}/scores.svg`);
    assert.match(await svg.text(), /^<svg .*<polyline/s);
    assert.match(svg.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    ears.setListening('nursery', false);
    const stream = app.app.hub.require('nursery');
    await waitFor(() => ![...stream.consumers].some((consumer) => consumer.formatName === 'clip'));
  } finally {
    await app.app.close();
  }
  app = await start({ name: 'whole' });
  try {
    const { body } = await json(app, '/api/events?camera=nursery');
    assert.deepEqual(
      body.events.map((one) => one.id),
      [event.id],
    );
    assert.equal(body.next, null);
    const part = await fetch(`${app.url}${body.events[0]?.clip}`, { headers: { range: 'bytes=4-7' } });
    assert.equal(part.status, 206);
    assert.equal(await part.text(), 'ftyp');
  } finally {
    await app.app.close();
  }
});

const FOLLOW = `(() => {
  globalThis.told = [];
  const source = new EventSource('/api/events/live?detection=cry');
  for (const type of ['event', 'files']) {
    source.addEventListener(type, (event) => told.push({ type, changed: event.lastEventId, ...JSON.parse(event.data) }));
  }
  return new Promise((resolve) => source.addEventListener('open', () => resolve(null), { once: true }));
})()`;

interface Played {
  readonly duration: number;
  readonly videoWidth: number;
  readonly soundBytes: number;
  readonly frames: number;
}

/** To its end; with Chromium's own counters of what was decoded. */
const PLAY = `async (src) => {
  const video = document.createElement('video');
  video.src = src;
  document.body.append(video);
  await video.play();
  const { duration } = video;
  await new Promise((resolve) => video.addEventListener('ended', resolve, { once: true }));
  return {
    duration,
    videoWidth: video.videoWidth,
    soundBytes: video.webkitAudioDecodedByteCount,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
  };
}`;

test('a clip plays in Chromium with picture and sound, and its page is told of events as they happen', async () => {
  await using app = await start({ name: 'browser', ears: new FakeEars(['door']) });
  await using browser = await launchBrowser();
  const page = await blankPage(browser, app.url);
  await page.evaluate(FOLLOW);
  await buffered(app, 'door', 150);
  app.app.events.emit(cameraEvent({ camera: 'door', detection: 'bark' }));
  const { id } = await noticed(app, { camera: 'door' });
  const told = await waitFor(async () => {
    const all: { type: string; state: string; clip?: string }[] = await page.evaluate('told');
    return all.some((one) => one.clip !== undefined) && all;
  });
  assert.deepEqual(
    told.filter((one) => one.type === 'event').map((one) => one.state),
    ['started', 'ended'],
  );
  const played: Played = await page.evaluate(`(${PLAY})('/api/events/${id}/clip.mp4')`);
  assert.equal(played.videoWidth, 320);
  assert.ok(played.duration > 3 && played.duration < 7, JSON.stringify(played));
  assert.ok(played.soundBytes > 5_000 && played.frames > 60, JSON.stringify(played));
});

test('a camera whose sound alone is kept has clips of sound', async () => {
  await using app = await start({ name: 'sound', ears: new FakeEars(['nursery']), clips: { picture: 'off' } });
  await buffered(app, 'nursery', 150);
  const { id } = await noticed(app, {});
  const clip = await probe(`${app.url}/api/events/${id}/clip.mp4`);
  assert.equal(clip.streams, 'flac');
  assert.ok(clip.seconds > 3 && clip.seconds < 6, String(clip.seconds));
  assert.ok(clip.loudestDb > -20, String(clip.loudestDb));
});

test('a camera whose sub stream is silent has clips of its main stream', async () => {
  const silent = clipSource('silent', { ...aac.clip, ...withoutSound(aac.clip) });
  await using app = await startTestApp({
    streams: { door: ['aac:1'], door_sub: ['silent:1'] },
    cameras: { door: ['door', 'door_sub'] },
    sources: [aac.module, silent.module],
    outputs: [events],
    dataDir: join(folder, 'silent'),
    stills: { still: () => Promise.resolve(JPEG) },
  });
  app.app.events.ears = new FakeEars(['door']);
  await buffered(app, 'door', 20);
  const consumers = [...app.app.hub.require('door_sub').consumers];
  assert.ok(!consumers.some((consumer) => consumer.formatName === 'clip'));
});

test('no clip is longer than allowed, and one is kept whatever ends the program', async () => {
  await using app = await start({ name: 'long', ears: new FakeEars(['nursery']), clips: { max_seconds: 10 } });
  await buffered(app, 'nursery', 100);
  const event = cameraEvent({});
  app.app.events.emit(event);
  const clips = join(folder, 'long', 'events', 'clips');
  await waitFor(() => existsSync(join(clips, `${event.id}.part`)));
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  await app.app.close();
  assert.deepEqual((await readdir(clips)).sort(), [`${event.id}.jpeg`, `${event.id}.mp4`]);
  await using again = await start({ name: 'long' });
  const { body } = await json(again, `/api/events/${event.id}`);
  assert.equal(body.state, 'ended');
  assert.ok(readClip(Buffer.from(await (await fetch(`${again.url}${body.clip}`)).arrayBuffer())).units.length > 20);
});

test('a folder for clips that can not be written costs no event', async () => {
  const data = join(folder, 'noclips');
  await mkdir(join(data, 'events'), { recursive: true });
  await writeFile(join(data, 'events', 'clips'), 'a file where the folder should be');
  await using app = await start({ name: 'noclips', ears: new FakeEars(['nursery']) });
  await buffered(app, 'nursery', 30);
  const event = cameraEvent({});
  app.app.events.emit(event);
  app.app.events.emit(later(event, 'ended', 500));
  await waitFor(() => app.log.find('warn', /could not be kept: the folder .* can't be made/).length > 0);
  const { body } = await json(app, `/api/events/${event.id}`);
  assert.deepEqual([body.state, body.clip], ['ended', undefined]);
  assert.equal((await fetch(`${app.url}/api/events/${event.id}/clip.mp4`)).status, 404);
});

test('pages, deletion, and errors as JSON', async () => {
  await using app = await start({ name: 'api' });
  const all = Array.from({ length: 7 }, (_, index) => cameraEvent({ startMs: 1_700_000_000_000 + index * 1_000 }));
  for (const event of all) app.app.events.emit(later(event, 'ended', 500));
  const first = await json(app, '/api/events?limit=3');
  assert.deepEqual(
    first.body.events.map((one) => one.id),
    [all[6]?.id, all[5]?.id, all[4]?.id],
  );
  const second = await json(app, `/api/events?limit=3&before=${first.body.next}`);
  assert.deepEqual(
    second.body.events.map((one) => one.id),
    [all[3]?.id, all[2]?.id, all[1]?.id],
  );
  const third = await json(app, `/api/events?limit=3&before=${second.body.next}`);
  assert.deepEqual([third.body.events.length, third.body.next], [1, null]);
  const id = all[2]?.id ?? '';
  assert.equal((await json(app, `/api/events/${id}`, { method: 'DELETE' })).status, 204);
  assert.equal((await json(app, `/api/events/${id}`)).status, 404);
  for (const [path, status, code] of [
    ['/api/events?limit=none', 400, 'events.query'],
    ['/api/events/nothing', 404, 'events.unknown'],
    [`/api/events/${encodeURIComponent('../../../etc/passwd')}/clip.mp4`, 404, 'events.unknown'],
    [`/api/events/${all[0]?.id}/clip.mp4`, 404, 'events.file'],
    ['/api/events/live?since=x', 400, 'events.query'],
  ] as const) {
    const { status: got, body } = await json(app, path);
    assert.deepEqual([got, body.error.code], [status, code], path);
  }
});

test('nobody is shown events of cameras they may not see', async () => {
  const access: AccessPolicy = { allows: (_peer, _right, stream) => stream !== 'nursery' };
  await using app = await start({ name: 'access', access });
  const [secret, open] = [cameraEvent({}), cameraEvent({ camera: 'door' })];
  for (const event of [secret, open]) app.app.events.emit(event);
  assert.deepEqual(
    (await json(app, '/api/events?limit=1')).body.events.map((one) => one.id),
    [open.id],
  );
  assert.equal((await json(app, `/api/events/${secret.id}`)).status, 404);
  assert.equal((await fetch(`${app.url}/api/events/${secret.id}/scores.svg`)).status, 404);
});

test('a follower who was away is told what changed meanwhile, once', async () => {
  await using app = await start({ name: 'resume' });
  const read = async (headers: Record<string, string>, count: number): Promise<string[][]> => {
    const response = await fetch(`${app.url}/api/events/live`, { headers });
    const found: string[][] = [];
    let text = '';
    assert.ok(response.body !== null);
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        if (lines[0]?.startsWith('id: ')) found.push(lines);
      }
      if (found.length >= count) break;
    }
    return found;
  };
  const one = cameraEvent({});
  const first = read({}, 1);
  await new Promise((resolve) => setTimeout(resolve, 200));
  app.app.events.emit(one);
  const [started] = await first;
  const seen = started?.[0]?.replace('id: ', '') ?? '';
  app.app.events.emit(later(one, 'updated', 5_000));
  app.app.events.emit(later(one, 'ended', 9_000));
  const two = cameraEvent({ detection: 'bark' });
  app.app.events.emit(two);
  const missed = await read({ 'last-event-id': seen }, 2);
  const told = missed.map((lines) => JSON.parse(lines[2]?.replace('data: ', '') ?? ''));
  assert.deepEqual(
    told.map(({ id, state }) => [id, state]),
    [
      [one.id, 'ended'],
      [two.id, 'updated'],
    ],
  );
});

test('where nothing ever happens nothing is made', async () => {
  await using app = await start({ name: 'quiet' });
  assert.deepEqual((await json(app, '/api/events')).body, { events: [], next: null });
  assert.deepEqual(await readdir(join(folder, 'quiet')).catch(() => 'no folder'), 'no folder');
});
