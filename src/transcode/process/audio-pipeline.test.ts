import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { formatOf, heard, inputUnits, type MadeTrack, runAudio } from '../../../testkit/audio-run.ts';
import { clickSeconds, codeSound, decodeSound, soundOf, tone, toneShare } from '../../../testkit/sound.ts';
import type { AudioCodec } from '../../core/media.ts';
import { type AudioTarget, MADE_AUDIO_CODECS } from '../../core/targets.ts';
import { plannedFormat } from '../audio-format.ts';
import { makeAudioPipeline } from './audio-pipeline.ts';
import { quietLibraries } from './still.ts';

before(quietLibraries);

const TONE_HZ = 700;
const TONE_SECONDS = 1.5;
const CLICK_SECONDS = 2.2;
const SECONDS = 2.6;

/** A tone, silence, and then a click. */
function toneAndClick(at: number): number {
  if (at < TONE_SECONDS) return 0.3 * Math.sin(2 * Math.PI * TONE_HZ * at);
  const off = at - CLICK_SECONDS;
  return 0.8 * Math.exp(-((off / 0.004) ** 2)) * Math.sin(2 * Math.PI * 1000 * off);
}

const target = (codec: AudioTarget['codec'], over: Partial<AudioTarget> = {}): AudioTarget => ({
  kind: 'audio',
  codec,
  ...over,
});
const ALL = MADE_AUDIO_CODECS.map((codec) => target(codec));

/** Ticks from each unit to the next; all the same where nothing is missing. */
function steps(track: MadeTrack): number[] {
  return track.units.slice(1).map(({ pts }, index) => pts - (track.units[index]?.pts ?? 0));
}

const INPUTS: readonly (readonly [codec: AudioCodec, rateHz: number, channels: number, options?: string[]])[] = [
  ['aac', 48_000, 2],
  ['aac', 16_000, 1],
  ['aac', 44_100, 1],
  ['aac', 8_000, 1],
  ['opus', 48_000, 2],
  ['pcma', 8_000, 1],
  ['pcmu', 16_000, 2],
  ['l16', 44_100, 2],
  ['flac', 32_000, 1],
  ['mp3', 44_100, 2],
  ['g722', 16_000, 1],
  ['g726', 8_000, 1, ['-code_size', '4']],
];

describe('sound in every codec is made into every other', () => {
  for (const [codec, rateHz, channels, options] of INPUTS) {
    test(`${codec}, ${rateHz} Hz, ${channels} channels: right pitch, right length, no holes, a click where it was`, async () => {
      const coded = await codeSound(codec, soundOf(rateHz, channels, SECONDS, toneAndClick), options);
      const reference = await decodeSound(
        coded.format,
        coded.units.map(({ data }) => data),
      );
      const clickAt = clickSeconds(reference) + (coded.units[0]?.pts ?? 0) / coded.format.clockRateHz;
      const { tracks, damaged } = runAudio(makeAudioPipeline, inputUnits(coded), ALL);
      assert.equal(damaged, 0);
      for (const [index, wanted] of ALL.entries()) {
        const track = tracks[index];
        assert.ok(track !== undefined);
        const format = formatOf(track);
        assert.deepEqual(track.formats, [plannedFormat(wanted, coded.format)]);
        const { sound, startSeconds } = await heard(track);
        const name = `${wanted.codec} of ${format.sampleRateHz} Hz`;
        assert.equal(new Set(steps(track)).size, 1, `${name}: a unit follows the other`);
        const offMs = (clickSeconds(sound) + startSeconds - clickAt) * 1000;
        assert.ok(Math.abs(offMs) < 2, `${name}: the click is ${offMs} ms off`);
        const share = toneShare(sound, TONE_HZ, 0.25, TONE_SECONDS - 0.1);
        assert.ok(share > 0.9, `${name}: ${share} of the sound is the tone`);
        const unitSeconds = (steps(track)[0] ?? 0) / format.clockRateHz;
        const endSeconds = startSeconds + sound.samples.length / format.channels / format.sampleRateHz;
        // What the encoder holds back at the end, and the padding of the input's last unit.
        const heldBack = wanted.codec === 'aac' || wanted.codec === 'mp3' ? 3 * unitSeconds : unitSeconds;
        assert.ok(
          endSeconds > SECONDS - heldBack - 0.03 && endSeconds < SECONDS + 0.15,
          `${name}: ends at ${endSeconds} s`,
        );
      }
    });
  }
});

test('sound comes at most 30 ms later than without being made anew; as AAC, whose frames overlap, 70', async () => {
  for (const [codec, rateHz, channels] of INPUTS) {
    const coded = await codeSound(codec, tone(rateHz, channels, 1, TONE_HZ));
    const input = inputUnits(coded);
    const clockHz = coded.format.clockRateHz;
    const unitTicks = (input[1]?.pts ?? 0) - (input[0]?.pts ?? 0);
    const { tracks } = runAudio(makeAudioPipeline, input, ALL);
    for (const [index, { codec: made }] of ALL.entries()) {
      // MP3 is for players that buffer seconds. AAC of AAC is made only for who asks for it, and frames of 64 ms don't
      // fill frames of 21 ms evenly.
      if (made === 'mp3' || made === codec) continue;
      const track = tracks[index];
      assert.ok(track !== undefined && track.units.length > 3);
      const madeClockHz = formatOf(track).clockRateHz;
      // How long the first sample of a unit waits from when it was recorded to when it can be played.
      const waits = track.units
        .slice(2)
        .map(({ pts, pushed }) => ((input[pushed - 1]?.pts ?? 0) + unitTicks) / clockHz - pts / madeClockHz);
      const addedMs = (Math.max(...waits) - unitTicks / clockHz) * 1000;
      // Three frames of 1024 samples are 64 ms at 48 kHz: its own, the one that overlaps, and one that is looked ahead.
      assert.ok(addedMs <= (made === 'aac' ? 70 : 30), `${codec} of ${rateHz} Hz to ${made}: ${addedMs} ms`);
    }
  }
});
