import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { formatOf, heard, inputUnits, type MadeTrack, runAudio } from '../../../testkit/audio-run.ts';
import { type CodedSound, codeSound, tone, toneShare } from '../../../testkit/sound.ts';
import type { AudioFormat } from '../../core/media.ts';
import { type AudioTarget, MADE_AUDIO_CODECS } from '../../core/targets.ts';
import { makeAacFormat } from '../../wire/aac/config.ts';
import { BitWriter } from '../../wire/codecs/bits.ts';
import { makeAudioFormat, makeVideoFormat } from '../../wire/codecs/formats.ts';
import { plannedFormat } from '../audio-format.ts';
import type { PipelineEvents, PipelineUnit } from '../pipeline.ts';
import { JobError } from '../protocol.ts';
import { makeAudioPipeline } from './audio-pipeline.ts';
import { quietLibraries } from './still.ts';

before(quietLibraries);

const TONE_HZ = 700;
const OPUS: AudioTarget = { kind: 'audio', codec: 'opus' };
const ALL = MADE_AUDIO_CODECS.map((codec): AudioTarget => ({ kind: 'audio', codec }));
const NO_EVENTS: PipelineEvents = { format: () => {}, unit: () => {}, failed: () => {}, note: () => {} };

async function share(track: MadeTrack | undefined, from: number, to: number): Promise<number> {
  assert.ok(track !== undefined);
  return toneShare((await heard(track)).sound, TONE_HZ, from, to);
}

/** An AudioSpecificConfig that announces SBR (ISO/IEC 14496-3 §1.6.2.1, hierarchical): twice 22050 Hz, stereo. */
const SBR_CONFIG = new BitWriter().u(5, 5).u(7, 4).u(2, 4).u(4, 4).u(2, 5).u(0, 3).finish();

describe('AAC as cameras send it', () => {
  test('HE-AAC is made of its whole band, at its own pace', async () => {
    // No free encoder makes SBR; frames without it in a stream that announces it are decoded to twice the rate all the same.
    const core = await codeSound('aac', tone(22_050, 2, 3, TONE_HZ));
    const coded: CodedSound = { units: core.units, format: makeAacFormat(SBR_CONFIG) };
    assert.equal(coded.format.sampleRateHz, 22_050);
    assert.equal(plannedFormat({ kind: 'audio', codec: 'l16' }, coded.format)?.sampleRateHz, 44_100);
    const { tracks, damaged } = runAudio(makeAudioPipeline, inputUnits(coded), ALL);
    assert.equal(damaged, 0);
    for (const track of tracks) assert.ok((await share(track, 0.3, 2.6)) > 0.9, formatOf(track).codec);
  });

  for (const [what, config] of [
    ['random bytes', Buffer.from('ff5a13e7', 'hex')],
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from([0x11])],
  ] as const) {
    test(`with ${what} as configuration it is decoded by what else is known`, async () => {
      const coded = await codeSound('aac', tone(16_000, 1, 2, TONE_HZ));
      const format: AudioFormat = { ...coded.format, config };
      const { tracks, damaged } = runAudio(makeAudioPipeline, inputUnits({ ...coded, format }), [OPUS]);
      assert.equal(damaged, 0);
      assert.ok((await share(tracks[0], 0.3, 1.7)) > 0.9);
    });
  }

  test('that says mono and is stereo is heard', async () => {
    const coded = await codeSound('aac', tone(48_000, 2, 2, TONE_HZ));
    const format: AudioFormat = { ...makeAacFormat(Buffer.from('1188', 'hex')) };
    assert.equal(format.channels, 1);
    const { tracks } = runAudio(makeAudioPipeline, inputUnits({ ...coded, format }), [OPUS]);
    assert.ok((await share(tracks[0], 0.3, 1.7)) > 0.9);
  });
});

for (const bits of [2, 3, 4, 5]) {
  test(`G.726 of ${bits * 8} kb/s is told from the others by its time stamps`, async () => {
    const coded = await codeSound('g726', tone(8_000, 1, 2, TONE_HZ), ['-code_size', String(bits)]);
    const whole = Buffer.concat(coded.units.map(({ data }) => data));
    const units = [];
    for (let at = 0; at < whole.length; at += 20 * bits) {
      units.push({ pts: units.length * 160, data: whole.subarray(at, at + 20 * bits) });
    }
    const { tracks } = runAudio(makeAudioPipeline, inputUnits({ format: coded.format, units }), [OPUS]);
    const got = await share(tracks[0], 0.4, 1.8);
    assert.ok(got > (bits < 4 ? 0.7 : 0.9), `${got}`);
  });
}

test('when the format of the input changes, the outputs go on in their own', async () => {
  const parts = await Promise.all([
    codeSound('aac', tone(48_000, 2, 1, TONE_HZ)),
    codeSound('aac', tone(16_000, 1, 1, TONE_HZ)),
    codeSound('pcma', tone(8_000, 1, 1, TONE_HZ)),
    codeSound('opus', tone(48_000, 2, 1, TONE_HZ)),
  ]);
  const units = parts.flatMap((coded, index) =>
    inputUnits(coded).map((unit) => {
      const pts = unit.pts + index * 1.1 * coded.format.clockRateHz;
      return { ...unit, pts, dts: pts };
    }),
  );
  const { tracks, damaged } = runAudio(makeAudioPipeline, units, ALL);
  assert.equal(damaged, 0);
  for (const track of tracks) {
    const { codec } = formatOf(track);
    assert.equal(track.formats.length, 1);
    assert.deepEqual(track.failures, []);
    for (const start of [0, 1.1, 2.2, 3.3]) {
      const got = await share(track, start + 0.2, start + 0.9);
      assert.ok(got > 0.8, `${codec} at ${start} s: ${got}`);
    }
  }
});

test('outputs come and go without the others noticing', async () => {
  const coded = await codeSound('aac', tone(16_000, 1, 2, TONE_HZ));
  const input = inputUnits(coded);
  const alone = runAudio(makeAudioPipeline, input, [OPUS]).tracks[0];
  const got = new Map<number, Buffer[]>();
  using pipeline = makeAudioPipeline(coded.format, {
    ...NO_EVENTS,
    unit: (out, { data }) => got.set(out, [...(got.get(out) ?? []), data]),
  });
  pipeline.addOutput(0, OPUS, -1);
  for (const [index, unit] of input.entries()) {
    if (index % 4 === 1) pipeline.addOutput(index, ALL[index % ALL.length] ?? OPUS, -1);
    if (index % 4 === 3) pipeline.removeOutput(index - 2);
    pipeline.push(unit);
  }
  assert.ok(alone !== undefined && got.size > 3);
  assert.deepEqual(
    got.get(0),
    alone.units.map(({ data }) => data),
  );
});

test('an output may be removed, and the pipeline be ended, while it gives a unit', async () => {
  const coded = await codeSound('l16', tone(8_000, 1, 1, TONE_HZ));
  let units = 0;
  using pipeline = makeAudioPipeline(coded.format, {
    ...NO_EVENTS,
    unit: (out) => {
      units++;
      pipeline.removeOutput(out);
    },
  });
  pipeline.addOutput(1, OPUS, -1);
  // One unit of the input that makes fifty of the output.
  const data = Buffer.concat(coded.units.map((unit) => unit.data));
  pipeline.push({ format: coded.format, pts: 8_000, dts: 8_000, key: true, data });
  assert.equal(units, 1);

  const ended = makeAudioPipeline(coded.format, {
    ...NO_EVENTS,
    unit: () => {
      units++;
      ended[Symbol.dispose]();
    },
  });
  ended.addOutput(1, OPUS, -1);
  ended.addOutput(2, OPUS, -1);
  for (let round = 0; round < 2; round++) ended.push({ format: coded.format, pts: 8_000, dts: 8_000, key: true, data });
  assert.equal(units, 2);
});

describe('damaged units are counted, and what follows is heard', () => {
  for (const codec of ['aac', 'opus', 'mp3', 'flac'] as const) {
    test(codec, async () => {
      const coded = await codeSound(codec, tone(48_000, 1, 2, TONE_HZ));
      const input = inputUnits(coded);
      const broken: PipelineUnit[] = input.map((unit, index) => {
        if (index < 10 || index > 15) return unit;
        return {
          ...unit,
          data: [Buffer.alloc(0), Buffer.alloc(50, 0xff), unit.data.subarray(0, 3)][index % 3] ?? unit.data,
        };
      });
      const { tracks, damaged } = runAudio(makeAudioPipeline, broken, [OPUS]);
      assert.ok(damaged >= 2 && damaged <= 6, `${damaged}`);
      assert.ok((await share(tracks[0], 0.7, 1.7)) > 0.9);
    });
  }
});

describe('what can’t be made is refused with the reason', () => {
  const impossible: readonly (readonly [over: Partial<AudioTarget> & Pick<AudioTarget, 'codec'>, says: RegExp])[] = [
    [{ codec: 'aac', sampleRateHz: 0 }, /0 Hz.*possible: 96000/],
    [{ codec: 'flac', sampleRateHz: 1e9 }, /1000000000 Hz.*4000 to 192000 Hz/],
    [{ codec: 'l16', sampleRateHz: 0 }, /0 Hz/],
    [{ codec: 'l16', sampleRateHz: 8000.5 }, /8000\.5 Hz/],
    [{ codec: 'pcma', sampleRateHz: Number.NaN }, /NaN Hz/],
    [{ codec: 'opus', sampleRateHz: 44_100 }, /44100 Hz.*8000, 12000, 16000, 24000, 48000/],
    [{ codec: 'g722', sampleRateHz: 8_000 }, /8000 Hz.*16000/],
    [{ codec: 'opus', channels: 100 }, /100 channels.*1 to 2/],
    [{ codec: 'flac', channels: 0 }, /0 channels/],
    [{ codec: 'pcmu', channels: -1 }, /-1 channels/],
    [{ codec: 'g722', channels: 2 }, /2 channels.*only 1/],
    [{ codec: 'opus', bitrateKbps: -1 }, /-1 kb\/s.*6 to 510/],
    [{ codec: 'aac', bitrateKbps: 0 }, /0 kb\/s/],
    [{ codec: 'aac', bitrateKbps: 1e12 }, /kb\/s/],
    [{ codec: 'mp3', bitrateKbps: Number.POSITIVE_INFINITY }, /Infinity kb\/s/],
    [{ codec: 'flac', bitrateKbps: -5 }, /-5 kb\/s/],
  ];
  for (const [over, says] of impossible) {
    test(
      JSON.stringify(over, (_, value: unknown) => (typeof value === 'number' ? String(value) : value)),
      () => {
        const format = makeAudioFormat('pcma', 8_000, 1);
        const wanted: AudioTarget = { kind: 'audio', ...over };
        using pipeline = makeAudioPipeline(format, NO_EVENTS);
        assert.throws(
          () => pipeline.addOutput(1, wanted, 0),
          (error) => error instanceof JobError && error.fault === 'request' && says.test(error.message),
        );
        assert.equal(plannedFormat(wanted, format), null);
      },
    );
  }

  test('a picture of sound, and sound of a picture', () => {
    const refused = (error: unknown): boolean => error instanceof JobError && error.fault === 'request';
    assert.throws(() => makeAudioPipeline(makeVideoFormat('vp8', 640, 480), NO_EVENTS), refused);
    using pipeline = makeAudioPipeline(makeAudioFormat('pcma', 8_000, 1), NO_EVENTS);
    assert.throws(() => pipeline.addOutput(1, { kind: 'video', codec: 'jpeg' }, 0), refused);
  });
});

test('targets that say everything are made so', async () => {
  const coded = await codeSound('pcma', tone(8_000, 1, 1.5, TONE_HZ));
  for (const wanted of [
    { kind: 'audio', codec: 'opus', sampleRateHz: 48_000, channels: 2, bitrateKbps: 96 },
    { kind: 'audio', codec: 'aac', sampleRateHz: 16_000, channels: 2, bitrateKbps: 48 },
    { kind: 'audio', codec: 'aac', sampleRateHz: 8_000, channels: 1 },
    { kind: 'audio', codec: 'pcmu', sampleRateHz: 48_000, channels: 2 },
    { kind: 'audio', codec: 'flac', sampleRateHz: 96_000, channels: 2 },
    { kind: 'audio', codec: 'l16', sampleRateHz: 44_100, channels: 2 },
    { kind: 'audio', codec: 'mp3', sampleRateHz: 22_050, channels: 1, bitrateKbps: 32 },
  ] as const) {
    const track = runAudio(makeAudioPipeline, inputUnits(coded), [wanted]).tracks[0];
    assert.ok(track !== undefined);
    const format = formatOf(track);
    assert.deepEqual([format.sampleRateHz, format.channels], [wanted.sampleRateHz, wanted.channels]);
    assert.deepEqual(format, plannedFormat(wanted, coded.format));
    const got = await share(track, 0.2, 0.8);
    assert.ok(got > 0.9, `${JSON.stringify(wanted)}: ${got}`);
  }
});

test('memory does not grow with outputs that come and go, nor with decoders opened anew', async () => {
  // In a process of its own, with a fixed threshold for mmap: glibc otherwise raises its threshold,
  // and then small objects that wait for the garbage collector split the holes that big ones leave.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', fileURLToPath(import.meta.resolve('../../../testkit/audio-memory.ts')), '150'],
    { env: { ...process.env, MALLOC_MMAP_THRESHOLD_: '4194304' } },
  );
  const { grownBytes, units } = z.object({ grownBytes: z.number(), units: z.number() }).parse(JSON.parse(stdout));
  assert.ok(units > 10_000);
  // 1200 outputs: what one of them holds is 30 kB at least, and some hold megabytes.
  assert.ok(grownBytes < 15e6, `${grownBytes} bytes`);
});
