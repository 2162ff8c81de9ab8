import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audioFormat, videoFormat } from '../../../testkit/scripted-source.ts';
import type { AccessUnit } from '../../core/media.ts';
import { UnitRing } from './ring.ts';

const EPOCH_MS = 1_700_000_000_000;
const video = videoFormat();
const audio = audioFormat();

function picture(atMs: number, key: boolean, bytes = 1_000): AccessUnit {
  const ticks = atMs * 90;
  const data = Buffer.alloc(bytes);
  return { trackId: 0, format: video, pts: ticks, dts: ticks, key, data, wallMs: EPOCH_MS + atMs, arrivedMs: atMs };
}
function sound(atMs: number, data = Buffer.alloc(160)): AccessUnit {
  const ticks = atMs * 8;
  return {
    trackId: 1,
    format: audio,
    pts: ticks,
    dts: ticks,
    key: true,
    data,
    wallMs: EPOCH_MS + atMs,
    arrivedMs: atMs,
  };
}

/** Pictures at 10 a second with a key frame each two seconds, and sound at 50 a second. */
function play(ring: UnitRing, fromMs: number, toMs: number, gopMs = 2_000, bytes = 1_000): void {
  for (let at = fromMs; at < toMs; at += 20) {
    const units = at % 100 === 0 ? [picture(at, at % gopMs === 0, bytes), sound(at)] : [sound(at)];
    ring.push(units);
  }
}

test('the last seconds are kept, from a key frame on', () => {
  const ring = new UnitRing({ keepMs: 10_000, maxBytes: 10_000_000 }, true);
  play(ring, 0, 60_000);
  const [oldest] = ring.units;
  assert.ok(oldest?.key && oldest.format.kind === 'video');
  assert.equal(oldest.arrivedMs, 48_000);
  assert.equal(
    ring.bytes,
    ring.units.reduce((sum, unit) => sum + unit.data.length, 0),
  );
  const taken = ring.from(EPOCH_MS + 55_500);
  assert.equal(taken[0]?.arrivedMs, 54_000);
  assert.equal(taken.at(-1)?.arrivedMs, 59_980);
  assert.equal(ring.from(EPOCH_MS)[0]?.arrivedMs, 48_000);
});

test('no more bytes are kept than allowed, and still from a key frame on', () => {
  const ring = new UnitRing({ keepMs: 10_000, maxBytes: 100_000 }, true);
  play(ring, 0, 60_000);
  assert.ok(ring.bytes <= 100_000 && ring.bytes > 40_000, String(ring.bytes));
  assert.ok(ring.units[0]?.format.kind === 'video' && ring.units[0].key);
});

test('one group of pictures that is too large or has no end leaves the sound', () => {
  for (const [maxBytes, gopMs] of [
    [200_000, 60_000],
    [50_000_000, 600_000],
  ] as const) {
    const ring = new UnitRing({ keepMs: 10_000, maxBytes }, true);
    play(ring, 0, 59_000, gopMs, 5_000);
    assert.ok(ring.bytes <= maxBytes);
    const oldest = ring.units[0];
    assert.ok(oldest !== undefined && 59_000 - oldest.arrivedMs <= 31_000, String(oldest?.arrivedMs));
    assert.ok(ring.units.some((unit) => unit.format.kind === 'audio'));
    play(ring, 600_000, 604_000, gopMs, 500);
    assert.equal(ring.from(EPOCH_MS + 603_000)[0]?.arrivedMs, 600_000);
  }
});

test('sound alone is kept by its time', () => {
  const ring = new UnitRing({ keepMs: 10_000, maxBytes: 10_000_000 }, false);
  for (let at = 0; at < 60_000; at += 20) ring.push([sound(at)]);
  assert.ok(ring.units.length <= 502 && ring.units.length >= 500, String(ring.units.length));
  assert.equal(ring.from(EPOCH_MS + 55_010)[0]?.arrivedMs, 55_000);
});

test('a little sound does not keep the large read that it came in', () => {
  const ring = new UnitRing({ keepMs: 10_000, maxBytes: 10_000_000 }, false);
  const read = Buffer.alloc(1_000_000);
  ring.push([sound(0, read.subarray(10, 170))]);
  assert.ok((ring.units[0]?.data.buffer.byteLength ?? 0) < 100_000);
});

test('an empty ring gives nothing', () => {
  assert.deepEqual(new UnitRing({ keepMs: 1, maxBytes: 1 }, true).from(0), []);
});
