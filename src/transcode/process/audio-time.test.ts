import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { formatOf, heard, inputUnits, type MadeTrack, runAudio, START_SECONDS } from '../../../testkit/audio-run.ts';
import { clickSeconds, codeSound, type Sound, soundOf, tone, toneShare } from '../../../testkit/sound.ts';
import type { AudioTarget } from '../../core/targets.ts';
import type { PipelineUnit } from '../pipeline.ts';
import { makeAudioPipeline } from './audio-pipeline.ts';
import { quietLibraries } from './still.ts';

before(quietLibraries);

const OPUS: AudioTarget = { kind: 'audio', codec: 'opus' };
const AAC: AudioTarget = { kind: 'audio', codec: 'aac' };
const PCMA: AudioTarget = { kind: 'audio', codec: 'pcma' };
const FLAC: AudioTarget = { kind: 'audio', codec: 'flac' };
const TARGETS = [OPUS, AAC, PCMA, FLAC];
const TONE_HZ = 700;
const CLICK_SECONDS = 3.5;

const toneThenClick = (at: number): number => {
  if (at < 3) return 0.3 * Math.sin(2 * Math.PI * TONE_HZ * at);
  const off = at - CLICK_SECONDS;
  return 0.8 * Math.exp(-((off / 0.004) ** 2)) * Math.sin(2 * Math.PI * 1000 * off);
};

async function aacUnits(): Promise<PipelineUnit[]> {
  return inputUnits(await codeSound('aac', soundOf(16_000, 1, 4, toneThenClick)));
}

const moved = (unit: PipelineUnit, ticks: number): PipelineUnit => ({
  ...unit,
  pts: unit.pts + ticks,
  dts: unit.pts + ticks,
});

/** The largest step from a unit to the next, in seconds. */
function largestStep(track: MadeTrack): number {
  const clockHz = formatOf(track).clockRateHz;
  return Math.max(...track.units.slice(1).map(({ pts }, index) => (pts - (track.units[index]?.pts ?? 0)) / clockHz));
}

function assertIncreasing(track: MadeTrack): void {
  for (const [index, { pts }] of track.units.entries()) {
    const last = track.units[index - 1];
    if (last !== undefined) assert.ok(pts > last.pts, `${pts} after ${last.pts}`);
  }
}

/** The sharpest bend from a sample to the next but one, without the beginning and the end: a click is one. */
function roughest(sound: Sound): number {
  const { samples, rateHz } = sound;
  let most = 0;
  for (let at = Math.round(0.2 * rateHz); at < samples.length - Math.round(0.3 * rateHz); at++) {
    const bend = (samples[at - 1] ?? 0) - 2 * (samples[at] ?? 0) + (samples[at + 1] ?? 0);
    most = Math.max(most, Math.abs(bend));
  }
  return most;
}

/** In seconds of the input's time line, where all units follow one another. */
async function clickOf(track: MadeTrack): Promise<number> {
  const { sound, startSeconds } = await heard(track);
  return clickSeconds(sound) + startSeconds;
}

describe('what is lost leaves a hole of its own length, and all else stays where it belongs', () => {
  for (const [what, from, count] of [
    ['one unit', 20, 1],
    ['three units in a row', 20, 3],
    ['half a second', 20, 8],
  ] as const) {
    test(`${what}: filled with silence`, async () => {
      const units = await aacUnits();
      const { tracks } = runAudio(makeAudioPipeline, units.toSpliced(from, count), TARGETS);
      for (const track of tracks) {
        const { clockRateHz, codec } = formatOf(track);
        assert.ok(largestStep(track) <= 1024 / 44_100 + 1 / clockRateHz, codec);
        const offMs = ((await clickOf(track)) - CLICK_SECONDS) * 1000;
        assert.ok(Math.abs(offMs) < 2, `${codec}: ${offMs} ms off`);
      }
    });
  }

  test('five seconds: the time stamps jump, nothing is made up in between', async () => {
    const units = await aacUnits();
    const { tracks } = runAudio(
      makeAudioPipeline,
      units.map((unit, index) => (index < 25 ? unit : moved(unit, 5 * 16_000))),
      TARGETS,
    );
    for (const track of tracks) {
      const { clockRateHz, codec } = formatOf(track);
      assertIncreasing(track);
      assert.ok(Math.abs(largestStep(track) - 5) < 0.1, `${codec}: ${largestStep(track)} s`);
      assert.equal(
        track.units.slice(1).filter(({ pts }, index) => pts - (track.units[index]?.pts ?? 0) > clockRateHz).length,
        1,
      );
      // The samples are one behind the other; where they stand is said by the unit that they are in.
      const { sound } = await heard(track);
      const seconds = clickSeconds(sound);
      const unitSeconds = sound.samples.length / sound.channels / sound.rateHz / track.units.length;
      const index = Math.floor(seconds / unitSeconds);
      const at = (track.units[index]?.pts ?? 0) / clockRateHz + seconds - index * unitSeconds;
      const offMs = (at - START_SECONDS - 5 - CLICK_SECONDS) * 1000;
      assert.ok(Math.abs(offMs) < 2, `${codec}: ${offMs} ms off`);
    }
  });

  test('units that come twice are heard once', async () => {
    const units = await aacUnits();
    const { tracks } = runAudio(makeAudioPipeline, units.toSpliced(20, 0, ...units.slice(18, 20)), TARGETS);
    for (const track of tracks) {
      assertIncreasing(track);
      const offMs = ((await clickOf(track)) - CLICK_SECONDS) * 1000;
      assert.ok(Math.abs(offMs) < 2, `${formatOf(track).codec}: ${offMs} ms off`);
    }
  });

  test('time stamps that go back for a while give no unit twice', async () => {
    const units = await aacUnits();
    const { tracks } = runAudio(
      makeAudioPipeline,
      units.map((unit, index) => (index < 20 || index > 25 ? unit : moved(unit, -10 * 16_000))),
      TARGETS,
    );
    for (const track of tracks) {
      assertIncreasing(track);
      const offMs = ((await clickOf(track)) - CLICK_SECONDS) * 1000;
      assert.ok(Math.abs(offMs) < 2, `${formatOf(track).codec}: ${offMs} ms off`);
    }
  });
});

describe('cameras whose clocks count wrongly', () => {
  test('time stamps that jitter by 50 ms are smoothed: no hole, no click, no unit out of step', async () => {
    const units = inputUnits(await codeSound('aac', tone(16_000, 1, 8, TONE_HZ)));
    let seed = 1;
    const jittered = units.map((unit) => {
      seed = (seed * 16_807) % 2_147_483_647;
      return moved(unit, Math.round(((seed / 2_147_483_647) * 2 - 1) * 0.025 * 16_000));
    });
    const { tracks } = runAudio(makeAudioPipeline, jittered, TARGETS);
    // The tone itself bends by amplitude times the square of radians per sample.
    const smoothness = 0.4 * 32_767 * ((2 * Math.PI * TONE_HZ) / 16_000) ** 2;
    for (const track of tracks) {
      const { sound, startSeconds } = await heard(track);
      const { codec } = formatOf(track);
      assert.ok(largestStep(track) < 0.025, codec);
      const share = toneShare(sound, TONE_HZ, 0.2, 7.5, 0.04);
      assert.ok(share > 0.9, `${codec}: ${share}`);
      if (codec === 'flac') assert.ok(roughest(sound) < 1.5 * smoothness, `${roughest(sound)} of ${smoothness}`);
      const end = startSeconds + sound.samples.length / sound.channels / sound.rateHz;
      assert.ok(Math.abs(end - 8) < 0.12, `${codec}: ends at ${end} s`);
    }
  });

  for (const drift of [0.004, -0.004]) {
    test(`a clock that counts ${drift * 100} % of itself too ${drift > 0 ? 'much' : 'little'} is followed without a hole`, async () => {
      // 30 s, so that the drift comes to 120 ms: more than may be put right at one time.
      const seconds = 30;
      const clickAt = 29;
      const wave = (at: number): number => {
        if (at < 28.5) return 0.3 * Math.sin(2 * Math.PI * TONE_HZ * at);
        const off = at - clickAt;
        return 0.8 * Math.exp(-((off / 0.004) ** 2)) * Math.sin(2 * Math.PI * 1000 * off);
      };
      const coded = await codeSound('l16', soundOf(8_000, 1, seconds, wave));
      const units = inputUnits(coded).map((unit, index) => moved(unit, Math.round(index * 160 * drift)));
      const { tracks } = runAudio(makeAudioPipeline, units, [OPUS, FLAC]);
      for (const track of tracks) {
        const { codec } = formatOf(track);
        assert.ok(largestStep(track) < 0.025, codec);
        const { sound, startSeconds } = await heard(track);
        const share = toneShare(sound, TONE_HZ, 3, 28, 0.04);
        assert.ok(share > 0.9, `${codec}: ${share}`);
        const offMs = (clickSeconds(sound) + startSeconds - clickAt * (1 + drift)) * 1000;
        assert.ok(Math.abs(offMs) < 35, `${codec}: ${offMs} ms off`);
      }
    });
  }

  test('time stamps in whole milliseconds, as FLV has them, change nothing', async () => {
    const units = inputUnits(await codeSound('aac', soundOf(44_100, 1, 4, toneThenClick)));
    const exact = runAudio(makeAudioPipeline, units, [FLAC]).tracks[0];
    const rounded = runAudio(
      makeAudioPipeline,
      units.map((unit) => ({ ...unit, pts: Math.round(Math.round((unit.pts / 44_100) * 1000) * 44.1) })),
      [FLAC],
    ).tracks[0];
    assert.ok(exact !== undefined && rounded !== undefined);
    assert.deepEqual((await heard(rounded)).sound.samples, (await heard(exact)).sound.samples);
  });
});

test('an output begins behind the time that it is asked for, and on the same time line', async () => {
  const units = await aacUnits();
  const after = (START_SECONDS + 2) * 16_000;
  const { tracks } = runAudio(makeAudioPipeline, units, TARGETS, after);
  for (const track of tracks) {
    const { clockRateHz, codec } = formatOf(track);
    const first = (track.units[0]?.pts ?? 0) / clockRateHz - START_SECONDS;
    // Encoders begin with what they need to start up: 1024 samples for AAC, 6.5 ms for Opus.
    assert.ok(first > 2 - 0.03 && first < 2.1, `${codec}: begins at ${first} s`);
    const offMs = ((await clickOf(track)) - CLICK_SECONDS) * 1000;
    assert.ok(Math.abs(offMs) < 2, `${codec}: ${offMs} ms off`);
  }
});

test('nothing stands before the beginning of the time line', async () => {
  const coded = await codeSound('l16', tone(16_000, 1, 0.5, TONE_HZ));
  const units = coded.units.map(({ pts, data }) => ({ format: coded.format, pts, dts: pts, key: true, data }));
  for (const track of runAudio(makeAudioPipeline, units, TARGETS).tracks) {
    assert.ok(track.units.length > 15);
    assert.ok((track.units[0]?.pts ?? -1) >= 0);
  }
});
