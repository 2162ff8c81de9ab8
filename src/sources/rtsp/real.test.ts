import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GstCameraOptions, startGstCamera } from '../../../testkit/gst-camera.ts';
import { collect, makeTestHub } from '../../../testkit/hub.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { AccessUnit } from '../../core/media.ts';
import { makeRtspSource } from './index.ts';

const rows: {
  name: string;
  camera: GstCameraOptions;
  suffix?: string;
  codecs: string;
  protocol: string;
  width?: number;
}[] = [
  {
    name: 'H.264 and AAC over TCP, with Digest',
    camera: { video: 'h264', audio: 'aac', user: 'admin', password: 'p@ss/w', digest: true },
    codecs: 'h264 aac',
    protocol: 'rtsp+tcp',
  },
  {
    name: 'H.264 and G.711 over UDP',
    camera: { video: 'h264', audio: 'pcma' },
    suffix: '#transport=udp',
    codecs: 'h264 pcma',
    protocol: 'rtsp+udp',
  },
  {
    name: 'H.265 and Opus over TCP, parameter sets in the SDP alone',
    camera: { video: 'h265', audio: 'opus', inBandParameterSets: false },
    codecs: 'h265 opus',
    protocol: 'rtsp+tcp',
  },
  {
    name: 'MJPEG and LATM from a camera that speaks only UDP',
    camera: { video: 'mjpeg', audio: 'latm', transport: 'udp' },
    codecs: 'jpeg aac',
    protocol: 'rtsp+udp',
  },
];

function assertSteady(units: readonly AccessUnit[], name: string): void {
  for (let i = 1; i < units.length; i++) {
    const step = (units[i]?.dts ?? 0) - (units[i - 1]?.dts ?? 0);
    assert.ok(step > 0, `${name}: decoding times go up`);
  }
}

for (const row of rows) {
  test(`a real camera (GStreamer) is restreamed: ${row.name}`, async () => {
    await using camera = await startGstCamera(row.camera);
    await using kit = makeTestHub({ sources: [makeRtspSource()], streams: { cam: [camera.url + (row.suffix ?? '')] } });
    const stream = kit.hub.require('cam');
    using viewer = await collect(stream);
    const video = await viewer.wait('video', 15);
    const audio = await viewer.wait('audio', 15);
    assert.equal(viewer.consumer.tracks.map((track) => track.codec).join(' '), row.codecs);
    assert.equal(stream.producers[0]?.description?.protocol, row.protocol);
    const first = video[0];
    assert.ok(first?.key, 'it begins with a key frame');
    assert.ok(first.format.kind === 'video' && first.format.width === 320 && first.format.height === 240);
    assertSteady(video, 'video');
    assertSteady(audio, 'audio');
    // The camera's own steps come through untouched: 15 pictures a second, frames of the codec's length.
    // One step more may be longer: when the first sender reports bring picture and sound in step.
    const steps = audio.slice(1).map((unit, i) => unit.pts - (audio[i]?.pts ?? 0));
    const usual = Math.min(...steps);
    assert.ok(steps.filter((step) => step !== usual).length <= 1, `audio steps ${steps}`);
    const odd = video.slice(1).filter((unit, i) => Math.abs(unit.pts - (video[i]?.pts ?? 0) - 6000) > 1);
    assert.ok(odd.length <= 1, 'pictures come every 1/15 s');
    assert.ok(Math.abs((first.wallMs ?? 0) - Date.now()) < 60_000);
    assert.doesNotMatch(kit.log.text, /p@ss|p%40ss/);
  });
}

test('viewers stay when the camera is pulled and comes back, and time goes on', async () => {
  const first = await startGstCamera({ video: 'h264', audio: 'pcma', gopFrames: 15 });
  const { port } = first;
  await using kit = makeTestHub({ sources: [makeRtspSource()], streams: { cam: [first.url] } });
  using viewer = await collect(kit.hub.require('cam'));
  await viewer.wait('video', 10);
  await first.stop();
  const before = viewer.of('video').length;
  const lastBefore = viewer.of('video').at(-1);
  await using second = await startGstCamera({ video: 'h264', audio: 'pcma', gopFrames: 15, port });
  assert.equal(second.port, port);
  const video = await viewer.wait('video', before + 10);
  await waitFor(() => viewer.of('audio').length > 20);
  assert.equal(viewer.ended(), undefined, 'the viewer was not sent away');
  const resumed = video[before];
  assert.ok(resumed?.key === true && lastBefore !== undefined);
  const gapMs = (resumed.pts - lastBefore.pts) / 90;
  const passedMs = resumed.arrivedMs - lastBefore.arrivedMs;
  assert.ok(Math.abs(gapMs - passedMs) < 1000, `time goes on by the length of the gap: ${gapMs} ms of ${passedMs} ms`);
  assertSteady(video, 'video');
  assertSteady(viewer.of('audio'), 'audio');
});
