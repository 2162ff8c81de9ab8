import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { lengthPrefixed } from '../../testkit/nal.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { StillRequest } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';
import { EMPTY, type VideoCodec, type VideoFormat } from '../core/media.ts';
import { Scope } from '../core/scope.ts';
import { forEachAnnexBNal } from '../wire/codecs/nal.ts';
import { makeH264Format } from '../wire/h264/format.ts';
import { makeH265Format } from '../wire/h265/format.ts';
import { type CodecProcess, createCodecProcess } from './codec-process.ts';

/** The left half is red, the upper right quarter white, the lower right one blue: a rotation can be told. */
const PICTURE =
  'color=red:s=320x240:r=5,drawbox=x=160:w=160:y=0:h=120:c=white:t=fill,drawbox=x=160:w=160:y=120:h=120:c=blue:t=fill';

function ffmpeg(...args: string[]): Buffer {
  return execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', PICTURE, '-frames:v', '1', ...args, '-'], {
    maxBuffer: 1e8,
  });
}

function nals(data: Buffer): Buffer[] {
  const found: Buffer[] = [];
  forEachAnnexBNal(data, (all, start, end) => found.push(Buffer.from(all.subarray(start, end))));
  return found;
}

function plain(codec: VideoCodec, config: Buffer = EMPTY): VideoFormat {
  return {
    kind: 'video',
    codec,
    clockRateHz: 90_000,
    width: 320,
    height: 240,
    codecString: codec,
    parameterSets: { vps: [], sps: [], pps: [] },
    config,
    reorderDepth: 0,
  };
}

/** The first frame of an IVF file: 32 bytes of file header, 12 of frame header. */
function ivfFrame(file: Buffer): Buffer {
  return file.subarray(44, 44 + file.readUInt32LE(32));
}

const makers: Readonly<Record<VideoCodec, () => StillRequest>> = {
  h264: () => {
    const all = nals(ffmpeg('-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-f', 'h264'));
    const pick = (type: number): Buffer[] => all.filter((nal) => ((nal[0] ?? 0) & 31) === type);
    return { format: makeH264Format({ sps: pick(7), pps: pick(8) }), data: lengthPrefixed(pick(5)) };
  },
  h265: () => {
    const x265 = ['-x265-params', 'log-level=none', '-pix_fmt', 'yuv420p'];
    const all = nals(ffmpeg('-c:v', 'libx265', ...x265, '-f', 'hevc'));
    const type = (nal: Buffer): number => ((nal[0] ?? 0) >> 1) & 63;
    const pick = (wanted: number): Buffer[] => all.filter((nal) => type(nal) === wanted);
    const format = makeH265Format({ vps: pick(32), sps: pick(33), pps: pick(34) });
    return { format, data: lengthPrefixed(all.filter((nal) => type(nal) < 32)) };
  },
  av1: () => ({ format: plain('av1'), data: ivfFrame(ffmpeg('-c:v', 'libaom-av1', '-cpu-used', '8', '-f', 'ivf')) }),
  vp8: () => ({ format: plain('vp8'), data: ivfFrame(ffmpeg('-c:v', 'libvpx', '-f', 'ivf')) }),
  vp9: () => ({ format: plain('vp9'), data: ivfFrame(ffmpeg('-c:v', 'libvpx-vp9', '-f', 'ivf')) }),
  jpeg: () => ({ format: plain('jpeg'), data: ffmpeg('-c:v', 'mjpeg', '-f', 'mjpeg') }),
};

/** What another program sees in a JPEG: its size, and the colours in the middle of its four quarters. */
function look(jpeg: Buffer): { size: string; corners: string } {
  const size = spawnSync(
    'ffprobe',
    ['-v', 'error', '-show_entries', 'stream=width,height', '-of', 'csv=p=0:s=x', '-'],
    {
      input: jpeg,
    },
  );
  const pixels = execFileSync(
    'ffmpeg',
    ['-v', 'error', '-i', '-', '-vf', 'scale=4:4:flags=area', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'],
    { input: jpeg },
  );
  const colour = (x: number, y: number): string => {
    const [r = 0, g = 0, b = 0] = pixels.subarray((y * 4 + x) * 3);
    if (r > 180 && g > 180 && b > 180) return 'white';
    return r > 180 ? 'red' : b > 180 ? 'blue' : `rgb(${r},${g},${b})`;
  };
  return {
    size: size.stdout.toString().trim(),
    corners: [colour(0, 0), colour(3, 0), colour(0, 3), colour(3, 3)].join(' '),
  };
}

const log = new MemoryLog();
const scope = new Scope('test');
let stills: CodecProcess;
let h264: StillRequest;
before(() => {
  stills = createCodecProcess({ log, scope, requestTimeoutMs: 20_000, jobTimeoutMs: 10_000 });
  h264 = makers.h264();
});
after(() => scope.close());

for (const codec of ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'] as const) {
  test(`a key frame of ${codec} becomes a JPEG that shows the picture`, async () => {
    const jpeg = await stills.still(makers[codec]());
    assert.deepEqual(look(jpeg), { size: '320x240', corners: 'red white red blue' });
  });
}

const shapes: readonly [name: string, ask: Partial<StillRequest>, size: string, corners: string][] = [
  ['one side given keeps the aspect ratio', { width: 160 }, '160x120', 'red white red blue'],
  ['the other side given does so too', { height: 60 }, '80x60', 'red white red blue'],
  ['both sides given are taken as they are', { width: 100, height: 100 }, '100x100', 'red white red blue'],
  ['odd sizes work', { width: 101 }, '101x76', 'red white red blue'],
  ['90 turns clockwise', { rotate: 90 }, '240x320', 'red red blue white'],
  ['180 turns upside down', { rotate: 180 }, '320x240', 'blue red white red'],
  ['270 turns counter-clockwise', { rotate: 270 }, '240x320', 'white blue red red'],
  ['scaling is done before the rotation', { width: 160, height: 80, rotate: 90 }, '80x160', 'red red blue white'],
];
for (const [name, ask, size, corners] of shapes) {
  test(`size and rotation of a still: ${name}`, async () => {
    assert.deepEqual(look(await stills.still({ ...h264, ...ask })), { size, corners });
  });
}

test('a lower quality gives a smaller file', async () => {
  const [low, high] = [await stills.still({ ...h264, quality: 20 }), await stills.still({ ...h264, quality: 95 })];
  assert.ok(low.length < high.length, `${low.length} bytes at quality 20, ${high.length} at 95`);
});

test('a size beyond what can be made is refused with the reason', async () => {
  await assert.rejects(stills.still({ ...h264, format: h264.format, height: 8000 }), {
    code: 'codec.request',
    status: 400,
    message: /10667x8000/,
  });
});

test('bytes that are no picture give a clear error, and the process goes on', async () => {
  const pid = stills.pid;
  const noise = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 251));
  for (const codec of ['h264', 'h265', 'av1', 'vp8', 'vp9', 'jpeg'] as const) {
    const format = codec === 'h264' ? h264.format : plain(codec);
    await assert.rejects(stills.still({ format, data: noise }), { code: 'codec.input', status: 502 });
  }
  await assert.rejects(stills.still({ format: h264.format, data: EMPTY }), { code: 'codec.input' });
  assert.equal(look(await stills.still(h264)).size, '320x240');
  assert.equal(stills.pid, pid);
});

test('damaged key frames give a picture or a clear error, whatever is wrong with them', async () => {
  const pid = stills.pid;
  const damaged = fc.tuple(
    fc.constantFrom('h264', 'h265', 'vp8', 'vp9', 'jpeg'),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 20 }),
    fc.double({ min: 0.1, max: 1, noNaN: true }),
  );
  const whole = new Map<VideoCodec, StillRequest>();
  await fc.assert(
    fc.asyncProperty(damaged, async ([codec, changes, share]) => {
      const request = whole.get(codec) ?? makers[codec]();
      whole.set(codec, request);
      const data = Buffer.from(request.data.subarray(0, Math.ceil(request.data.length * share)));
      for (const [at, value] of changes) data[at % data.length] = value;
      try {
        await stills.still({ ...request, data });
      } catch (error) {
        assert.ok(error instanceof HearthcamError && error.code === 'codec.input', String(error));
      }
    }),
    { numRuns: Math.min(2_000, Number(process.env['FUZZ_RUNS'] ?? 200)) },
  );
  assert.equal(stills.pid, pid, 'the process was not replaced');
});

test('a codec process that is killed between requests is replaced', async () => {
  const pid = stills.pid;
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  await waitFor(() => stills.pid !== pid, { what: 'the end of the codec process' });
  assert.equal(look(await stills.still(h264)).size, '320x240');
});

test('a codec process that is killed during a request is replaced, and the request is answered', async () => {
  const { pid } = stills;
  assert.ok(pid !== undefined);
  // Stopped, it can't answer before it is killed.
  process.kill(pid, 'SIGSTOP');
  const still = stills.still(h264);
  process.kill(pid, 'SIGKILL');
  assert.equal(look(await still).size, '320x240');
  assert.notEqual(stills.pid, pid);
  assert.equal(log.find('warn', /codec process.*starting it again/).length, 1);
});

test('a codec process that hangs is replaced, and the requests are answered', async () => {
  const own = new Scope('hang');
  const impatient = createCodecProcess({
    log: new MemoryLog(),
    scope: own,
    requestTimeoutMs: 20_000,
    jobTimeoutMs: 500,
  });
  await impatient.still(h264);
  const { pid } = impatient;
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGSTOP');
  const answers = await Promise.all([impatient.still(h264), impatient.still(h264)]);
  assert.deepEqual(
    answers.map((jpeg) => look(jpeg).size),
    ['320x240', '320x240'],
  );
  assert.notEqual(impatient.pid, pid);
  await own.close();
});

test('a request that can not be answered in time fails, and the next one has a new process', async () => {
  const own = new Scope('late');
  const late = createCodecProcess({ log: new MemoryLog(), scope: own, requestTimeoutMs: 4_000, jobTimeoutMs: 60_000 });
  await late.still(h264);
  const { pid } = late;
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGSTOP');
  await assert.rejects(late.still(h264), { code: 'codec.timeout', status: 504 });
  assert.equal(look(await late.still(h264)).size, '320x240');
  await own.close();
});

test('more requests than may wait are refused at once', async () => {
  const own = new Scope('busy');
  const busy = createCodecProcess({ log: new MemoryLog(), scope: own, maxWaiting: 2, requestTimeoutMs: 20_000 });
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => busy.still(h264)));
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? 'a picture' : String(result.reason.code))),
    ['a picture', 'a picture', 'a picture', 'codec.busy', 'codec.busy'],
  );
  await own.close();
});

test('the process ends when there is nothing to do, and comes back when there is', async () => {
  const own = new Scope('idle');
  const idle = createCodecProcess({ log: new MemoryLog(), scope: own, idleMs: 50, requestTimeoutMs: 20_000 });
  assert.equal(idle.pid, undefined);
  await idle.still(h264);
  const { pid } = idle;
  assert.ok(pid !== undefined);
  const lives = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  await waitFor(() => !lives(), { what: 'the end of the idle process' });
  assert.equal(idle.pid, undefined);
  assert.equal(look(await idle.still(h264)).size, '320x240');
  await own.close();
  await assert.rejects(idle.still(h264), { code: 'codec.closed' });
});
