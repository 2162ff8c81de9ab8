import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { WebSocket } from 'ws';
import { startTestApp, type TestApp } from '../../../testkit/app.ts';
import { blankPage, launchBrowser } from '../../../testkit/browser.ts';
import { ANY_VIDEO } from '../../../testkit/hub.ts';
import {
  type Clip,
  type ClipSource,
  clipSource,
  makeClip,
  readClip,
  testPicture,
} from '../../../testkit/mp4-source.ts';
import { type MseReport, reportMse, startMse } from '../../../testkit/mse-page.ts';
import { audioFormat } from '../../../testkit/scripted-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { LivePackager } from '../../wire/mp4/live.ts';
import { mp4Mime } from '../../wire/mp4/mime.ts';
import { mse } from './module.ts';

const ALL_CODECS = 'avc1.640029,avc1.64002A,avc1.640033,hvc1.1.6.L153.B0,mp4a.40.2,mp4a.40.5,flac,opus';

/** The clip's picture with a G.711 tone in packets of 20 ms. */
function withAlaw(clip: Clip): Clip {
  const format = audioFormat();
  const pictures = clip.units.filter((unit) => unit.track === 0);
  const packets = Array.from({ length: Math.round(clip.durationMs / 20) }, (_, index) => {
    const data = Buffer.from(Array.from({ length: 160 }, (__, at) => (at % 18 < 9 ? 0x95 : 0x15)));
    return { track: 1, format, ticks: index * 160, decodeTicks: index * 160, key: true, data };
  });
  const first = clip.tracks[0];
  assert.ok(first !== undefined);
  const timeMs = (unit: { track: number; decodeTicks: number }): number =>
    unit.decodeTicks / (unit.track === 0 ? 90 : 8);
  return {
    tracks: [first, { kind: 'audio', codec: 'pcma', clockRateHz: 8_000, format }],
    units: [...pictures, ...packets].sort((one, other) => timeMs(one) - timeMs(other)),
    durationMs: clip.durationMs,
  };
}

let app: TestApp;
let browser: Browser;
const sources = new Map<string, ClipSource>();
const clips = new Map<string, Clip>();

before(async () => {
  const [aac, large, opus, hevc, vp9] = await Promise.all([
    makeClip(testPicture({ gop: 75, seconds: 3 })),
    makeClip(testPicture({ gop: 75, seconds: 3, size: '640x360' })),
    makeClip(testPicture({ gop: 25, seconds: 2, audio: ['-c:a', 'libopus', '-ac', '2'] })),
    makeClip(
      testPicture({
        seconds: 1,
        video: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none', '-tag:v', 'hvc1'],
      }),
    ),
    makeClip(
      testPicture({
        gop: 25,
        seconds: 2,
        size: '160x120',
        video: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'],
      }),
    ),
  ]);
  for (const [name, clip] of Object.entries({ aac, large, opus, hevc, vp9, alaw: withAlaw(large) })) {
    clips.set(name, clip);
    sources.set(name, clipSource(name, clip));
  }
  sources.set('switching', clipSource('switching', aac));
  const streams = Object.fromEntries([...sources.keys()].map((name) => [name, [`${name}:1`]]));
  app = await startTestApp({
    streams: { ...streams, dead: ['dead:1'] },
    sources: [...[...sources.values()].map((source) => source.module), deadModule()],
    outputs: [mse],
  });
  browser = await launchBrowser();
});
after(async () => {
  await browser.close();
  await app[Symbol.asyncDispose]();
});

function deadModule() {
  return {
    name: 'dead',
    schemes: ['dead'],
    run: () => Promise.reject(new Error('dial tcp 192.0.2.1:554: connection refused')),
  };
}

function sourceOf(name: string): ClipSource {
  const source = sources.get(name);
  assert.ok(source !== undefined);
  return source;
}

function clipOf(name: string): Clip {
  const clip = clips.get(name);
  assert.ok(clip !== undefined);
  return clip;
}

/** Keeps the camera connected, as another viewer does, so that there is a GOP to join. */
async function held(name: string, pictures: number): Promise<Disposable> {
  const stream = app.app.hub.require(name);
  const consumer = await stream.open({ formatName: 'test', protocol: '', remoteAddr: '', wants: [ANY_VIDEO] });
  await waitFor(() => stream.gop().units.filter((unit) => unit.format.kind === 'video').length >= pictures, {
    what: `${pictures} cached pictures`,
  });
  return { [Symbol.dispose]: () => consumer.close() };
}

/** Plays in Chromium until the report is as wanted. */
async function play(name: string, codecs = ALL_CODECS) {
  const page = await blankPage(browser, app.url);
  await startMse(page, `${app.wsUrl}?src=${name}`, codecs);
  const until = async (wanted: (report: MseReport) => boolean, what: string): Promise<MseReport> => {
    let last: MseReport | undefined;
    const get = async () => {
      last = await reportMse(page);
      return wanted(last) ? last : undefined;
    };
    return waitFor(get, { everyMs: 50, timeoutMs: 20_000, what }).catch((error: unknown) => {
      throw new Error(`${what}: ${JSON.stringify(last)}`, { cause: error });
    });
  };
  return { page, until, [Symbol.asyncDispose]: () => page.close() };
}

test('Chromium shows a running camera at once, is live without seeking, and its time starts at 0', async () => {
  using _ = await held('aac', 50);
  await using viewer = await play('aac');
  const first = await viewer.until((report) => report.frames > 0, 'a picture');
  assert.ok((first.firstPictureMs ?? 1e9) < 3_000, `first picture after ${first.firstPictureMs} ms`);
  const later = await viewer.until((report) => report.currentTime > 1.5, 'time to advance');
  assert.deepEqual(later.mimes, ['video/mp4; codecs="avc1.42C00D,mp4a.40.2"']);
  assert.deepEqual(later.errors, []);
  assert.deepEqual([later.width, later.height], [320, 240]);
  assert.equal(later.bufferedRanges, 1);
  assert.ok(later.bufferedStart < 0.1, `buffered from ${later.bufferedStart}`);
  assert.ok(later.audioBytes > 0, 'sound is decoded');
  assert.ok(later.frames > 20);
  // 50 cached pictures are two seconds: a player that had to watch them would be that late.
  const behindS = later.bufferedEnd - later.currentTime;
  assert.ok(behindS < 1.5, `${behindS} s behind`);
});

test('A-law sound comes as FLAC', async () => {
  await using viewer = await play('alaw');
  const report = await viewer.until((now) => now.audioBytes > 1_000 && now.frames > 20, 'sound and picture');
  assert.deepEqual(report.mimes, ['video/mp4; codecs="avc1.42C01E,flac"']);
  assert.deepEqual(report.errors, []);
  assert.equal(report.bufferedRanges, 1);
});

test('Opus sound comes as it is', async () => {
  await using viewer = await play('opus');
  const report = await viewer.until((now) => now.audioBytes > 1_000 && now.frames > 20, 'sound and picture');
  assert.deepEqual(report.mimes, ['video/mp4; codecs="avc1.42C00D,opus"']);
  assert.deepEqual(report.errors, []);
});

test('a camera that changes its resolution goes on in the same player without a pause', async () => {
  const source = sourceOf('switching');
  source.clip = clipOf('aac');
  await using viewer = await play('switching');
  await viewer.until((report) => report.frames > 20 && report.width === 320, 'the small picture');
  source.clip = clipOf('large');
  const report = await viewer.until((now) => now.width === 640, 'the large picture');
  assert.deepEqual(report.errors, []);
  const after = await viewer.until((now) => now.currentTime > report.currentTime + 1, 'time to advance');
  assert.equal(after.bufferedRanges, 1, 'no hole');
  assert.equal(after.mimes.length, 1, 'same codec: clients that know one `mse` message only are not disturbed');
  assert.ok(after.frames > report.frames + 15);
});

test('a camera that drops for three seconds: the viewer stays and goes on where it stood', async () => {
  const source = sourceOf('opus');
  await using viewer = await play('opus');
  await viewer.until((report) => report.frames > 20, 'pictures');
  source.refuse = true;
  source.drop();
  // The outage itself: longer than what passes for a late picture.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const stood = await viewer.until(() => true, 'a report');
  source.refuse = false;
  const report = await viewer.until((now) => now.frames > stood.frames + 25, 'pictures again');
  assert.equal(report.closed, false);
  assert.deepEqual(report.errors, []);
  assert.equal(report.bufferedRanges, 1, 'no hole');
  assert.ok(report.currentTime < stood.currentTime + 5, 'its time did not jump');
});

test('a camera that changes its codec: our player goes on in place, others are told to connect again', async () => {
  const source = sourceOf('switching');
  source.clip = clipOf('aac');
  await using ours = await play('switching', `${ALL_CODECS},vp09.00.40.08,changetype`);
  await using other = await play('switching');
  await Promise.all([ours, other].map((viewer) => viewer.until((report) => report.frames > 10, 'pictures')));
  source.clip = clipOf('vp9');
  const report = await ours.until((now) => now.width === 160, 'the VP9 picture');
  assert.deepEqual(report.mimes.length, 2);
  assert.match(report.mimes[1] ?? '', /vp09/);
  assert.deepEqual(report.errors, []);
  const left = await other.until((now) => now.closed, 'the other one to be closed');
  assert.match(left.errors[0] ?? '', /^mse: .*changed its codecs/);
});

/** The clip as live fragments of a camera that has run for so long. */
function fragmentsOf(clip: Clip, afterDays: number) {
  const live = new LivePackager(
    clip.tracks.flatMap(({ format }, id) => (format === null ? [] : [{ id, format }])),
    { bytes: () => 0, write: () => {} },
  );
  const packs = clip.units.flatMap((unit) => {
    const shift = afterDays * 86_400 * unit.format.clockRateHz;
    const { format, key, data, track: trackId } = unit;
    const times = { pts: unit.ticks + shift, dts: unit.decodeTicks + shift, wallMs: 0, arrivedMs: 0 };
    return live.push([{ trackId, format, key, data, ...times }]);
  });
  return { live, packs: packs.slice(packs.findIndex((pack) => pack.key)) };
}

/** What Chromium has buffered after it was given the bytes: number of ranges, start, end. */
async function bufferedBy(mime: string, file: Buffer): Promise<number[]> {
  await using page = await blankPage(browser, app.url);
  return await page.evaluate<number[]>(`(async () => {
    const media = new MediaSource();
    const video = document.createElement('video');
    video.src = URL.createObjectURL(media);
    await new Promise((resolve) => media.addEventListener('sourceopen', resolve, { once: true }));
    const buffer = media.addSourceBuffer(${JSON.stringify(mime)});
    buffer.appendBuffer(Uint8Array.from(atob('${file.toString('base64')}'), (c) => c.charCodeAt(0)));
    await new Promise((resolve) => buffer.addEventListener('updateend', resolve, { once: true }));
    return [video.buffered.length, video.buffered.start(0), video.buffered.end(0)];
  })()`);
}

test('after 40 days of one camera connection a new viewer still starts at 0', async () => {
  const { live, packs } = fragmentsOf(clipOf('aac'), 40);
  const startTicks = packs[0]?.startTicks ?? 0;
  assert.ok(startTicks > 3e11);
  const file = Buffer.concat([live.init(startTicks), ...packs.map((pack) => pack.data)]);
  const [ranges, start = 9, end = 0] = await bufferedBy(mp4Mime(live.formats), file);
  assert.equal(ranges, 1);
  assert.ok(Math.abs(start) < 0.1 && Math.abs(end - 3) < 0.2, `${start} to ${end}`);
});

test('a viewer who was left out for a second gets a key frame right behind what it has, in one range', async () => {
  const { live, packs } = fragmentsOf(clipOf('opus'), 1);
  const base = packs[0]?.startTicks ?? 0;
  const second = packs.findIndex((pack, index) => index > 0 && pack.key);
  const stop = packs.findIndex((pack) => pack.startTicks > base + 20 * 3_600);
  assert.ok(stop > 0 && stop < second);
  const held = (packs[stop]?.startTicks ?? 0) - base;
  const file = Buffer.concat([
    live.init(base),
    ...packs.slice(0, stop).map((pack) => pack.data),
    live.init((packs[second]?.startTicks ?? 0) - held),
    ...packs.slice(second).map((pack) => pack.data),
  ]);
  const [ranges, start = 9, end = 0] = await bufferedBy(mp4Mime(live.formats), file);
  assert.equal(ranges, 1, 'no hole');
  assert.ok(start < 0.1 && end > 1.5, `${start} to ${end}`);
});

interface Heard {
  readonly texts: { type: string; value: unknown }[];
  readonly binaries: Buffer[];
  readonly ws: WebSocket;
}

async function ask(name: string, message: unknown): Promise<Heard> {
  const ws = new WebSocket(`${app.wsUrl}?src=${name}`);
  const heard: Heard = { texts: [], binaries: [], ws };
  ws.on('message', (data, isBinary) => {
    if (!Buffer.isBuffer(data)) return;
    if (isBinary) heard.binaries.push(data);
    else {
      assert.ok(data.toString().endsWith('\n'));
      heard.texts.push(JSON.parse(data.toString()));
    }
  });
  await once(ws, 'open');
  ws.send(JSON.stringify(message));
  return heard;
}

for (const row of [
  {
    name: 'an H.265 camera and a client without H.265: an error, not a silent black player',
    src: 'hevc',
    value: 'avc1.640029,mp4a.40.2',
    // go2rtc's words, and behind them what would help.
    want: /^mse: streams: codecs not matched: video:H265, audio:AAC => video:H264, audio:AAC \(.*"transcode: auto".*\)$/,
  },
  { name: 'an unknown stream', src: 'nobody', value: '', want: /^mse: stream not found$/ },
  {
    name: 'a camera that is off',
    src: 'dead',
    value: '',
    want: /^mse: dial tcp 192\.0\.2\.1:554: connection refused$/,
  },
]) {
  test(`the reply to ${row.name}`, async () => {
    const { texts, ws } = await ask(row.src, { type: 'mse', value: row.value });
    await waitFor(() => texts.length > 0);
    assert.equal(texts.length, 1);
    assert.equal(texts[0]?.type, 'error');
    assert.match(String(texts[0]?.value), row.want);
    ws.terminate();
  });
}

test('an H.265 camera and a client that lists it', async () => {
  const { texts, binaries, ws } = await ask('hevc', { type: 'mse', value: '' });
  await waitFor(() => binaries.length > 10);
  assert.equal(texts[0]?.type, 'mse');
  assert.match(String(texts[0]?.value), /^video\/mp4; codecs="hvc1\.1\.6\.L\d+\.[0-9A-F]+,mp4a\.40\.2"$/);
  const clip = readClip(Buffer.concat(binaries));
  assert.equal(clip.units[0]?.key, true);
  assert.deepEqual(
    clip.tracks.map((track) => track.codec),
    ['h265', 'aac'],
  );
  ws.terminate();
});

test('the mp4 message: the reply is called mse, then each binary is a whole file with one key frame', async () => {
  const { texts, binaries, ws } = await ask('opus', { type: 'mp4', value: ALL_CODECS });
  await waitFor(() => binaries.length >= 2);
  assert.deepEqual(texts, [{ type: 'mse', value: 'video/mp4; codecs="avc1.42C00D"' }]);
  for (const binary of binaries) {
    const { units } = readClip(binary);
    assert.deepEqual(
      units.map((unit) => [unit.key, unit.ticks]),
      [[true, 0]],
    );
  }
  ws.terminate();
});

test('a client that goes away leaves nothing behind', async () => {
  const stream = app.app.hub.require('alaw');
  await waitFor(() => stream.consumers.size === 0, { what: 'earlier viewers to be gone' });
  const { binaries, ws } = await ask('alaw', { type: 'mse', value: ALL_CODECS });
  await waitFor(() => binaries.length > 3);
  assert.equal(stream.consumers.size, 1);
  const [consumer] = stream.consumers;
  assert.ok((consumer?.bytesSent ?? 0) > 0 && consumer?.formatName === 'mse/fmp4' && consumer.protocol === 'ws');
  ws.terminate();
  await waitFor(() => stream.consumers.size === 0);
});
