import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CRY_FEATURES, confidenceOf, cryEvidence, cryFeatures } from './cry/evidence.ts';
import { OnsetMachine } from './cry/machine.ts';
import { CRY_MACHINES, crySettings } from './cry/settings.ts';
import { type Detection, type Ear, type Heard, SoundDetector } from './detector.ts';
import { soundEar } from './sounds.ts';

const HOP_MS = 487.5;
const LABELS = ['Speech', 'Bark', 'Bow-wow', 'Yip', 'Glass', 'Smoke detector, smoke alarm', 'Fire alarm'];

/** The first score is the evidence. */
const EAR: Ear = {
  name: 'test',
  settings: { on: 0.6, off: 0.3, windows: 2, releaseMs: 2_000 },
  evidence: ({ scores }) => scores[0] ?? 0,
  silence: 0,
  confidence: (evidence) => evidence,
};

function heard(index: number, score: number | null): Heard {
  const endMs = 975 + index * HOP_MS;
  const impression =
    score === null ? null : { scores: Float32Array.of(score, 0.1, 0, 0, 0, 0, 0), embedding: new Float32Array(1_024) };
  return { startMs: endMs - 975, endMs, levelDb: -30, noiseDb: -60, impression, quiet: score === null };
}

function run(scores: readonly (number | null)[], ear: Ear = EAR): Detection[] {
  const detector = new SoundDetector(ear, LABELS);
  return scores.flatMap((score, index) => detector.hear(heard(index, score)) ?? []);
}

test('one loud window begins nothing, two do, and it ends after the release', () => {
  assert.deepEqual(run([0, 1, 0, 0, 0]), []);
  const told = run([0, 0.9, 0.9, 0.9, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(
    told.map(({ state }) => state),
    ['started', 'ended'],
  );
  const [started, ended] = told;
  assert.ok(started !== undefined && ended !== undefined);
  assert.equal(started.startMs, HOP_MS, 'the beginning is that of the first window that spoke for it');
  assert.equal(started.knownMs, 975 + 2 * HOP_MS);
  assert.equal(ended.endMs, 975 + 4 * HOP_MS);
  assert.ok(Math.abs(ended.confidence - 0.9) < 1e-6);
});

test('a pause for breath does not end it', () => {
  const told = run([1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(told.filter(({ state }) => state === 'started').length, 1);
});

test('while it lasts it is told every five seconds', () => {
  const told = run([...Array.from({ length: 50 }, () => 1), 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(
    told.map(({ state }) => state),
    ['started', 'updated', 'updated', 'updated', 'updated', 'ended'],
  );
});

test('the evidence begins ten seconds before, names the classes, and stays bounded', () => {
  const told = run([
    ...Array.from({ length: 30 }, () => 0),
    ...Array.from({ length: 5_000 }, () => 1),
    ...Array.from({ length: 9 }, () => 0),
  ]);
  const first = told[0];
  const last = told.at(-1);
  assert.ok(first !== undefined && last !== undefined);
  assert.equal(last.state, 'ended');
  assert.ok(last.evidence.length <= 601);
  assert.equal(last.evidence[0]?.classes[0]?.[0], 'Bark');
  assert.ok((last.evidence[0]?.atMs ?? 0) < first.startMs - 7_000);
});

test('dropped windows change nothing, quiet ones count as silence', () => {
  const detector = new SoundDetector(EAR, LABELS);
  detector.hear(heard(0, 1));
  assert.equal(detector.hear({ ...heard(1, null), quiet: false }), null);
  assert.equal(detector.hear(heard(2, 1))?.state, 'started');
  assert.deepEqual(run([1, null, 1, null, 1]), []);
});

test('what is on ends when listening stops', () => {
  const detector = new SoundDetector(EAR, LABELS);
  detector.hear(heard(0, 1));
  detector.hear(heard(1, 1));
  assert.equal(detector.stop(9_000)?.state, 'ended');
  assert.equal(detector.stop(9_500), null);
});

test('windows before a gap tell nothing of those after it', () => {
  const machine = new OnsetMachine({ on: 0.9, off: 0.5, windows: 2, releaseMs: 1_000 }, 0);
  machine.step(1, 1_000);
  machine.forget();
  assert.equal(machine.step(1, 9_000).change, null);
  assert.equal(machine.step(1, 9_500).change, 'started');
});

test('a more sensitive setting begins earlier, and numbers are understood', () => {
  assert.ok(CRY_MACHINES.high.on < CRY_MACHINES.balanced.on && CRY_MACHINES.balanced.on < CRY_MACHINES.low.on);
  const own = crySettings({ threshold: 0.5, seconds: 2, release: 10 });
  assert.ok(Math.abs(own.on) < 1e-9);
  assert.equal(own.windows, 4);
  assert.equal(own.releaseMs, 10_000);
  assert.deepEqual(crySettings({}), CRY_MACHINES.balanced);
});

test('evidence of a cry is finite and bounded for whatever the model says', () => {
  for (const value of [0, 1, 1e9, Number.NaN, -1]) {
    const evidence = cryEvidence(new Float32Array(521).fill(value), new Float32Array(1_024).fill(value));
    assert.ok(Number.isFinite(evidence), `${value}: ${evidence}`);
    assert.ok(confidenceOf(evidence) >= 0 && confidenceOf(evidence) <= 1);
  }
  const features = new Float32Array(CRY_FEATURES).fill(9);
  cryFeatures(new Float32Array(521), new Float32Array(1_024), features);
  assert.ok(features.every((one) => one === 0));
});

test('any class of AudioSet can be listened for by its name; an unknown one is refused with a hint', () => {
  const ear = soundEar('bark', {}, LABELS);
  assert.ok(
    Math.abs(ear.evidence({ scores: Float32Array.of(0, 0.2, 0.7, 0, 0, 0, 0), embedding: new Float32Array(0) }) - 0.7) <
      1e-6,
  );
  assert.equal(soundEar('my sound', { classes: ['  speech'], threshold: 0.9 }, LABELS).settings.on, 0.9);
  assert.throws(() => soundEar('smoke', {}, LABELS), { code: 'listen.sound', hint: /Smoke detector/ });
});
