import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { collect, makeTestHub, type TestHub } from '../../testkit/hub.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../testkit/mp4-source.ts';
import { waitFor } from '../../testkit/wait.ts';
import { HearthcamError } from '../core/errors.ts';
import type { HardwareReport } from '../core/hardware.ts';
import type { MediaWant } from '../core/negotiate.ts';
import { Scope } from '../core/scope.ts';
import { HardwareService } from './hardware/hardware.ts';
import { Pipes } from './pipes.ts';
import { createRemaker } from './remaker.ts';
import { DEFAULT_TRANSCODE } from './settings.ts';

const H264: MediaWant = { kind: 'video', codecs: ['h264'] };
const VIEWER = { formatName: 'test', protocol: '', remoteAddr: '', wants: [H264] };
const BOTH = ['h264', 'h265'] as const;
/** It was there when it was tried, and is gone. */
const GONE: HardwareReport = { kind: 'vaapi', device: '/dev/dri/renderD999', decode: BOTH, encode: BOTH };
const ABSENT: HardwareReport = {
  kind: 'cuda',
  device: null,
  decode: [],
  encode: [],
  error: 'no card',
  hint: 'buy one',
};
const X265 = '-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=0 -pix_fmt yuv420p'.split(' ');

describe('pictures made by hardware', { timeout: 60_000 }, () => {
  let h265: Clip;
  before(async () => {
    h265 = await makeClip(testPicture({ gop: 25, seconds: 4, video: X265 }));
  });

  function start(): TestHub & { pipes: Pipes } {
    const scope = new Scope('test');
    let pipes: Pipes | undefined;
    const all = makeTestHub({
      sources: [clipSource('hevc', h265).module],
      streams: { hevc: ['hevc:'] },
      makeRemaker: (log) => {
        const service = new HardwareService({
          log,
          cacheFile: null,
          version: '1',
          look: () => ({ candidates: [GONE], absent: [ABSENT], fingerprint: '' }),
          attempt: () => Promise.resolve(GONE),
        });
        pipes = new Pipes({ log, scope, maxEncodes: () => 4, hardware: { service, setting: () => 'auto' } });
        const hardwareMakes = service.makes.bind(service, 'auto');
        return createRemaker({ pipes, settings: () => ({ ...DEFAULT_TRANSCODE, mode: 'audio' }), hardwareMakes });
      },
    });
    if (pipes === undefined) throw new Error('the hub made no remaker');
    const close = async (): Promise<void> => {
      await all[Symbol.asyncDispose]();
      await scope.close();
    };
    return { ...all, pipes, [Symbol.asyncDispose]: close };
  }

  test('H.265 is made into H.264 without a word in the file as soon as hardware is known that does it', async () => {
    await using all = start();
    const stream = all.hub.require('hevc');
    // The first one comes too early, and is told what would help.
    await assert.rejects(stream.open(VIEWER), /h264|H\.264|codec/i);
    await waitFor(async () => {
      try {
        (await stream.open(VIEWER)).close();
        return true;
      } catch {
        return false;
      }
    });
    using viewer = await collect(stream, [H264]);
    await viewer.wait('video', 30);
    const warnings = all.log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
    assert.equal(warnings.length, 2, all.log.text);
    assert.match(warnings[0] ?? '', /decoding h265 by VAAPI failed, software goes on: VAAPI can't be opened/);
    assert.match(warnings[1] ?? '', /coding h264 by VAAPI failed, software goes on: VAAPI can't be opened/);
  });

  test('a codec process that dies while hardware may be used is followed by one without, told once', async () => {
    await using all = start();
    const picture = { kind: 'video', codec: 'h264', hardware: 'vaapi' } as const;
    const consumer = await all.hub.require('hevc').open({ ...VIEWER, picture });
    let made = 0;
    const leave = consumer.stream.subscribe((units) => {
      made += units.length;
    });
    await waitFor(() => made >= 5);
    const [pid] = all.pipes.pids;
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await waitFor(() => all.log.text.includes('"hevc" with hardware died: it is done by software'));
    const before = made;
    await waitFor(() => made >= before + 10);
    leave();
    consumer.close();
  });

  test('hardware that is not there is refused with the reason', async () => {
    await using all = start();
    const picture = { kind: 'video', codec: 'h264', hardware: 'cuda' } as const;
    await assert.rejects(all.hub.require('hevc').open({ ...VIEWER, picture }), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.deepEqual([error.code, error.status], ['codec.hardware', 400]);
      assert.match(error.message, /NVIDIA \(CUDA\) does not work on this machine: no card; buy one/);
      return true;
    });
  });
});
