import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { Scope } from '../src/core/scope.ts';
import { frame } from '../src/outputs/frame/frame.ts';
import { type FrameMark, readFrameMark } from '../src/simulate/mark.ts';
import { PictureMaker } from '../src/simulate/picture-maker.ts';
import type { StreamPlan } from '../src/simulate/protocol.ts';
import { simulatedSource } from '../src/simulate/source.ts';
import { type CodecProcess, createCodecProcess } from '../src/transcode/codec-process.ts';
import { startTestApp, type TestApp } from '../testkit/app.ts';
import { MemoryLog } from '../testkit/memory-log.ts';
import { waitFor } from '../testkit/wait.ts';

/** Everything real: an encoder gives the stream, the codec process decodes it, HTTP delivers it. */
const plan: StreamPlan = {
  scene: 'garden',
  title: 'test',
  codec: 'h264',
  width: 1280,
  height: 720,
  fps: 15,
  gop: 15,
  bitRateKbps: 0,
  bFrames: 0,
  audio: 'none',
};
const scope = new Scope('stills');
const plans = new Map<string, StreamPlan>([
  ['h264', plan],
  ['h265', { ...plan, codec: 'h265', width: 640, height: 360 }],
]);
let app: TestApp;
let codec: CodecProcess;

before(async () => {
  const maker = new PictureMaker(new MemoryLog());
  scope.defer(() => maker[Symbol.asyncDispose]());
  codec = createCodecProcess({ log: new MemoryLog(), scope, requestTimeoutMs: 20_000, jobTimeoutMs: 10_000 });
  app = await startTestApp({
    streams: { h264: ['simulate:h264'], h265: ['simulate:h265'] },
    outputs: [frame],
    sources: [simulatedSource(plans, maker).module],
    stills: codec,
  });
  scope.defer(async () => app[Symbol.asyncDispose]());
});
after(() => scope.close());

async function still(query: string): Promise<{ mark: FrameMark | null; size: string; tookMs: number }> {
  const startedMs = performance.now();
  const reply = await fetch(`${app.url}/api/frame.jpeg?${query}`);
  const input = Buffer.from(await reply.arrayBuffer());
  const tookMs = performance.now() - startedMs;
  assert.equal(reply.status, 200, input.toString());
  // A PPM says its size: `P6 1280 720 255` and a blank in front of the pixels.
  const ppm = execFileSync('ffmpeg', ['-v', 'error', '-i', '-', '-f', 'image2pipe', '-c:v', 'ppm', '-'], {
    input,
    maxBuffer: 1e8,
  });
  const [head = '', width, height] = /^P6\s(\d+)\s(\d+)\s\d+\s/.exec(ppm.toString('latin1', 0, 40)) ?? [];
  const pixels = { data: ppm.subarray(head.length), width: Number(width), height: Number(height) };
  return { mark: readFrameMark({ ...pixels, format: 'rgb' }), size: `${width}x${height}`, tookMs };
}

for (const [name, size] of [
  ['h264', '1280x720'],
  ['h265', '640x360'],
] as const) {
  test(`a still of an ${name} camera shows what it saw within its last GOP`, async () => {
    const first = await still(`src=${name}`);
    assert.equal(first.size, size);
    assert.ok(first.mark !== null);
    const agoMs = Date.now() - first.mark.capturedAtMs;
    assert.ok(agoMs > -100 && agoMs < 5_000, `taken ${agoMs} ms ago`);
  });
}

test('of a stream that runs, a still is there at once, scaled or not', async () => {
  await still('src=h264');
  const scaled = await still('src=h264&width=640');
  assert.equal(scaled.size, '640x360');
  assert.ok(scaled.mark !== null, 'the mark survives scaling');
  // The target is 300 ms; a machine that does ten other things may take longer.
  assert.ok(scaled.tookMs < 2_000, `${scaled.tookMs} ms`);
});

test('stills follow the stream: a second later there is another picture', async () => {
  const first = await still('src=h264');
  const next = await waitFor(
    async () => {
      const now = await still('src=h264');
      return now.mark !== null && now.mark.counter !== first.mark?.counter ? now.mark : undefined;
    },
    { everyMs: 200 },
  );
  assert.ok(next.counter > (first.mark?.counter ?? 0));
});

test('a codec process that is killed is not noticed by who asks for a still', async () => {
  await still('src=h264');
  const { pid } = codec;
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  assert.equal((await still('src=h264&w=320')).size, '320x180');
});
