import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { shared } from '../../../testkit/shared.ts';
import { parseCsv, readSceneLabels } from './labels.ts';
import { areaUnderCurve, type Detection, recallAtFalsePositives, scoreStreams } from './rules.ts';

const SCENE = shared('audio/scenes/nursery.csv');
const SCORE = shared('audio/score.py');
/** What score.py uses of numpy for streams, for machines that have none. */
const NUMPY = `import statistics
def array(values, kind=None): return list(values)
asarray = array
def median(values): return statistics.median(values)
def percentile(values, share):
    v = sorted(values); at = share / 100 * (len(v) - 1); low = int(at)
    return v[low] + (v[min(low + 1, len(v) - 1)] - v[low]) * (at - low)
`;

/** Detections here and there, the same in every run. */
function someDetections(lengthS: number, seed: number): Detection[] {
  let state = seed;
  const random = (): number => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const out: Detection[] = [];
  for (let atS = 10 * random(); atS < lengthS; atS += 60 * random() * random()) {
    const endS = atS + 70 * random() ** 3;
    out.push({ startS: Number(atS.toFixed(3)), endS: Number(endS.toFixed(3)), confidence: 1 });
    atS = endS;
  }
  return out;
}

test('detections are scored as score.py does', async () => {
  const labels = await readSceneLabels(SCENE);
  const directory = await mkdtemp(join(tmpdir(), 'hearthcam-rules-'));
  await writeFile(join(directory, 'numpy.py'), NUMPY);
  const env = { ...process.env, PYTHONPATH: directory };
  for (const seed of [1, 2, 3]) {
    const detections = someDetections(labels.lengthS, seed);
    const csv = join(directory, 'detections.csv');
    const rows = detections.map(({ startS, endS }) => `${startS},${endS},1`);
    await writeFile(csv, `start,end,confidence\n${rows.join('\n')}\n`);
    // Checked below, number by number.
    const theirs: Record<string, number> = JSON.parse(
      execFileSync('python3', [SCORE, SCENE, csv, '--json'], { env }).toString(),
    );
    const ours = scoreStreams([{ labels, detections }]);
    assert.equal(ours.found, theirs['found']);
    assert.equal(ours.falseAlarms, theirs['false_alarms']);
    assert.ok(Math.abs(ours.delayMedianS - (theirs['delay_median'] ?? 0)) < 1e-9);
    assert.ok(Math.abs(ours.delayP95S - (theirs['delay_p95'] ?? 0)) < 1e-9);
    assert.ok(Math.abs(ours.falseAlarmsPerHour - (theirs['fa_per_hour'] ?? 0)) < 1e-9);
  }
  await rm(directory, { recursive: true });
});

test('an alarm that is left on is a false one for every half minute', () => {
  const labels = { bouts: [{ startS: 10, endS: 15, snrDb: '' }], distractors: [], lengthS: 600 };
  const score = scoreStreams([{ labels, detections: [{ startS: 11, endS: 125, confidence: 1 }] }]);
  assert.equal(score.found, 1);
  assert.equal(score.falseAlarms, 3);
});

test('area under the curve and recall at few false positives', () => {
  assert.equal(areaUnderCurve([2, 3], [0, 1]), 1);
  assert.equal(areaUnderCurve([1], [1, 1]), 0.5);
  assert.equal(areaUnderCurve([0, 2], [1]), 0.5);
  const others = Array.from({ length: 100 }, (_, index) => index / 100);
  assert.deepEqual(recallAtFalsePositives([0.985, 0.5, 2], others, 0.01), { recall: 2 / 3, threshold: 0.985 });
});

test('a CSV with quotes, empty cells and a byte order mark is read', () => {
  assert.deepEqual(parseCsv('\uFEFFa,b,c\r\n1,"x, ""y""",\r\n,2,3\n'), [
    { a: '1', b: 'x, "y"', c: '' },
    { a: '', b: '2', c: '3' },
  ]);
});
