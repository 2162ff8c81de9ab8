import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAlaw } from '../../wire/g711/g711.ts';
import { HOP_MS, type Loudness, type Pcm, SoundFeed, type SoundWindow } from './feed.ts';
import { Resampler } from './resampler.ts';

function sine(rateHz: number, hz: number, seconds: number, level = 0.5): Float32Array {
  return Float32Array.from({ length: rateHz * seconds }, (_, at) => level * Math.sin((2 * Math.PI * hz * at) / rateHz));
}

/** The same in every run. */
function noise(length: number, level: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return level * (state / 2 ** 31 - 1);
  });
}

function listenTo(pieces: readonly Pcm[]) {
  const windows: SoundWindow[] = [];
  const loudness: Loudness[] = [];
  const gaps: number[] = [];
  const feed = new SoundFeed({
    onWindow: (window) => windows.push(window),
    onLoudness: (one) => loudness.push(one),
    onGap: (_, gapMs) => gaps.push(gapMs),
  });
  for (const piece of pieces) feed.push(piece);
  return { windows, loudness, gaps, feed };
}

/** In pieces of 20 ms, as cameras send. */
function pieces(samples: Float32Array | Int16Array, rateHz: number, channels = 1, startMs = 1_000): Pcm[] {
  const size = Math.round(rateHz / 50) * channels;
  const out: Pcm[] = [];
  for (let at = 0; at < samples.length; at += size) {
    const part = samples.slice(at, at + size);
    out.push({ samples: part, sampleRateHz: rateHz, channels, atMs: startMs + (at / channels / rateHz) * 1_000 });
  }
  return out;
}

function amplitude(samples: Float32Array, hz: number): number {
  let real = 0;
  let imaginary = 0;
  for (const [at, sample] of samples.entries()) {
    real += sample * Math.cos((2 * Math.PI * hz * at) / 16_000);
    imaginary += sample * Math.sin((2 * Math.PI * hz * at) / 16_000);
  }
  return (2 * Math.hypot(real, imaginary)) / samples.length;
}

for (const rateHz of [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000]) {
  test(`a tone of 1 kHz at ${rateHz} Hz is the same tone at 16 kHz`, () => {
    const resampler = new Resampler(rateHz);
    const input = sine(rateHz, 1_000, 1);
    const output = new Float32Array(resampler.roomFor(input.length));
    const heard = output.subarray(0, resampler.push(input, output));
    assert.ok(Math.abs(heard.length - 16_000) < 64, `${heard.length} samples`);
    assert.ok(Math.abs(amplitude(heard.slice(1_000, 15_000), 1_000) - 0.5) < 0.01);
  });
}

test('what lies above 8 kHz does not come back as a lower tone', () => {
  const resampler = new Resampler(48_000);
  const input = sine(48_000, 11_000, 1);
  const output = new Float32Array(resampler.roomFor(input.length));
  const heard = output.subarray(0, resampler.push(input, output)).slice(500);
  assert.ok(Math.max(...heard.map(Math.abs)) < 0.5 * 10 ** (-50 / 20));
});

test('windows of 0.975 s come every 0.4875 s, with the times of their sound', () => {
  const { windows } = listenTo(pieces(sine(16_000, 440, 3), 16_000));
  assert.equal(windows.length, Math.floor((48_000 - 15_600) / 7_800) + 1);
  for (const [index, window] of windows.entries()) {
    assert.ok(Math.abs(window.startMs - (1_000 + index * HOP_MS)) < 1);
    assert.ok(Math.abs(window.endMs - window.startMs - 975) < 1e-6);
  }
});

test('stereo, 16 bits and A-law are heard as the same sound', () => {
  const mono = sine(8_000, 600, 2);
  const stereo = Int16Array.from({ length: mono.length * 2 }, (_, at) => Math.round((mono[at >> 1] ?? 0) * 32_767));
  const one = listenTo(pieces(mono, 8_000)).windows.at(-1);
  const two = listenTo(pieces(stereo, 8_000, 2)).windows.at(-1);
  assert.ok(one !== undefined && two !== undefined);
  assert.ok(Math.abs(one.levelDb - two.levelDb) < 0.01);
  // 0xd5 is A-law's smallest positive value: nearly silence.
  const quiet = listenTo(pieces(decodeAlaw(new Uint8Array(16_000).fill(0xd5)), 8_000)).windows.at(-1);
  assert.ok(quiet !== undefined && quiet.levelDb < -70);
});

test('loudness is told each second: a sine at full scale has −3 dBFS, and 100 Hz counts 19 dB less A-weighted', () => {
  const high = listenTo(pieces(sine(16_000, 1_000, 3, 0.99), 16_000)).loudness.at(-1);
  const low = listenTo(pieces(sine(16_000, 100, 3, 0.99), 16_000)).loudness.at(-1);
  assert.ok(high !== undefined && low !== undefined);
  assert.ok(Math.abs(high.dbfs + 3.1) < 0.1, `${high.dbfs}`);
  assert.ok(Math.abs(high.dbfsA - high.dbfs) < 0.3, `${high.dbfsA}`);
  assert.ok(Math.abs(low.dbfsA - low.dbfs + 19.1) < 1.5, `${low.dbfsA - low.dbfs}`);
});

test('NaN, infinity, clipping and a DC offset do no harm, and are told', () => {
  const samples = sine(16_000, 500, 3, 0.2).map((one) => one + 0.3);
  samples[20_000] = Number.NaN;
  samples[20_001] = Number.POSITIVE_INFINITY;
  const { windows, loudness } = listenTo(pieces(samples, 16_000));
  assert.ok(windows.every((window) => window.samples?.every((one) => Number.isFinite(one) && Math.abs(one) <= 1.5)));
  const mean = windows.at(-1)?.samples?.reduce((sum, one) => sum + one, 0) ?? 1;
  assert.ok(Math.abs(mean / 15_600) < 0.005);
  assert.equal(
    loudness.reduce((sum, one) => sum + one.damaged, 0),
    1,
  );
  assert.ok(loudness.some(({ clipped }) => clipped > 0));
});

test('a lost packet is filled with silence; a longer gap begins anew and is told', () => {
  const all = pieces(sine(16_000, 500, 4), 16_000);
  const lost = listenTo(all.filter((_, index) => index < 100 || index >= 109));
  assert.deepEqual(lost.gaps, []);
  assert.equal(lost.windows.length, listenTo(all).windows.length);
  const later = all.map((piece, index) => (index < 100 ? piece : { ...piece, atMs: piece.atMs + 5_000 }));
  const { gaps, windows } = listenTo(later);
  assert.equal(gaps.length, 1);
  assert.ok(Math.abs((gaps[0] ?? 0) - 5_000) < 30);
  assert.ok(windows.every(({ startMs }) => startMs < 2_100 || startMs >= 7_999));
  assert.ok((listenTo([...all, ...all]).gaps[0] ?? 0) < -3_000, 'time that goes back is a gap too');
});

test('the time line follows a clock that is 200 ppm fast', () => {
  const all = pieces(noise(16_000 * 60, 0.1), 16_000).map((piece) => ({
    ...piece,
    atMs: 1_000 + (piece.atMs - 1_000) * 1.0002,
  }));
  const { windows, gaps } = listenTo(all);
  assert.deepEqual(gaps, []);
  const last = all.at(-1);
  const window = windows.at(-1);
  assert.ok(last !== undefined && window !== undefined);
  assert.ok(Math.abs(window.endMs - (last.atMs + 20)) < HOP_MS + 15);
});

test('steady noise is not scored, and a cry of the same level in it is', () => {
  const silent = noise(16_000 * 40, 0.02);
  const { windows, feed } = listenTo(pieces(silent, 16_000));
  const settled = windows.slice(10);
  const scored = settled.filter(({ samples }) => samples !== null).length;
  assert.ok(scored / settled.length < 0.1, `${scored} of ${settled.length} windows`);
  assert.ok((feed.noiseDb ?? 0) < -30 && (feed.noiseDb ?? 0) > -60);
  // A voice has its energy in few bands: at the noise's own level it stands out there.
  const tone = sine(16_000, 600, 40, 0.0165);
  const mixed = silent.map((one, at) => one + (at > 16_000 * 30 && at < 16_000 * 33 ? (tone[at] ?? 0) : 0));
  const during = listenTo(pieces(mixed, 16_000)).windows.filter(({ startMs }) => startMs > 31_000 && startMs < 33_000);
  assert.ok(during.every(({ samples }) => samples !== null));
});

test('while something is on, quiet windows are passed on too', () => {
  const { feed, windows } = listenTo(pieces(noise(16_000 * 20, 0.01), 16_000));
  const before = windows.length;
  feed.attentive = true;
  for (const piece of pieces(noise(16_000 * 5, 0.01, 9), 16_000, 1, 21_000)) feed.push(piece);
  assert.ok(windows.slice(before + 2).every(({ samples }) => samples !== null));
});

test('sound without sense is refused', () => {
  const feed = new SoundFeed({ onWindow: () => {} });
  const samples = new Int16Array(10);
  assert.throws(() => feed.push({ samples, sampleRateHz: 0, channels: 1, atMs: 0 }), RangeError);
  assert.throws(() => feed.push({ samples, sampleRateHz: 16_000, channels: 0, atMs: 0 }), RangeError);
  assert.throws(() => feed.push({ samples, sampleRateHz: 16_000, channels: 1, atMs: Number.NaN }), RangeError);
});
