import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VideoTarget } from '../../core/targets.ts';
import { renditionFacts } from './estimate.ts';
import type { VariantFacts } from './muxer.ts';

const SOURCE: VariantFacts = {
  codecs: ['hvc1.1.6.L120.B0', 'mp4a.40.2'],
  width: 1920,
  height: 1080,
  frameRate: 24.98,
  peakBps: 5_000_000,
  averageBps: 4_000_000,
};
const target = (more: Partial<VideoTarget>): VideoTarget => ({ kind: 'video', codec: 'h264', ...more });

for (const row of [
  { picture: target({ bitrateKbps: 200, fps: 15 }), width: 320, height: 180, codec: 'avc1.64000C' },
  { picture: target({ bitrateKbps: 700, fps: 30 }), width: 640, height: 360, codec: 'avc1.64001E' },
  { picture: target({ bitrateKbps: 2_200 }), width: 1280, height: 720, codec: 'avc1.64001F' },
  { picture: target({ bitrateKbps: 4_500 }), width: 1920, height: 1080, codec: 'avc1.640028' },
  { picture: target({ bitrateKbps: 16_000 }), width: 3840, height: 2160, codec: 'avc1.640033' },
]) {
  test(`a rendition of ${row.width}x${row.height} is announced as ${row.codec} with its bit rate`, () => {
    const { width, height, picture } = row;
    const facts = renditionFacts(picture, { width, height }, SOURCE, undefined);
    const bps = (picture.bitrateKbps ?? 0) * 1000;
    assert.deepEqual(facts.codecs, [row.codec, 'mp4a.40.2']);
    assert.deepEqual([facts.width, facts.height, facts.frameRate], [width, height, SOURCE.frameRate]);
    assert.ok(facts.averageBps >= bps && facts.averageBps <= bps + 64_000, String(facts.averageBps));
    assert.ok(facts.peakBps > facts.averageBps);
  });
}

test('one that ran before is announced as it was; one without a bit rate as the stream is', () => {
  const size = { width: 1920, height: 1080 };
  const known: VariantFacts = {
    ...SOURCE,
    codecs: ['avc1.640020', 'mp4a.40.2'],
    width: 480,
    height: 270,
    peakBps: 9e6,
  };
  const facts = renditionFacts(target({ bitrateKbps: 300 }), size, SOURCE, known);
  assert.deepEqual([facts.codecs, facts.width, facts.height, facts.peakBps], [known.codecs, 480, 270, 9e6]);
  assert.ok(renditionFacts(target({ fps: 5 }), size, SOURCE, undefined).averageBps >= SOURCE.averageBps);
});
