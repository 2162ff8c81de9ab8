/**
 * Run as a process of its own: opens and closes audio outputs and decoders over and over, and prints how many bytes the
 * process has grown by in the second half of it.
 */
import { setImmediate } from 'node:timers/promises';
import { MADE_AUDIO_CODECS } from '../src/core/targets.ts';
import { makeAudioPipeline } from '../src/transcode/process/audio-pipeline.ts';
import { quietLibraries } from '../src/transcode/process/still.ts';
import { inputUnits } from './audio-run.ts';
import { codeSound, tone } from './sound.ts';

quietLibraries();
const cycles = Number(process.argv[2]);
const wide = inputUnits(await codeSound('aac', tone(48_000, 2, 0.2, 700))).slice(0, 3);
const narrow = inputUnits(await codeSound('aac', tone(16_000, 1, 0.2, 700))).slice(0, 3);
const first = wide[0];
if (first === undefined) throw new Error('no units');

let units = 0;
async function grown(count: number): Promise<number> {
  await collect();
  const before = process.memoryUsage().rss;
  for (let cycle = 0; cycle < count; cycle++) {
    using pipeline = makeAudioPipeline(wide[0]?.format ?? fail(), {
      format: () => {},
      unit: () => units++,
      failed: (_out, _fault, message) => fail(message),
      note: () => {},
    });
    for (const [out, codec] of MADE_AUDIO_CODECS.entries()) pipeline.addOutput(out, { kind: 'audio', codec }, -1);
    // The change of format opens the decoder and the resamplers anew.
    for (const unit of [...wide, ...narrow]) pipeline.push(unit);
    for (const out of MADE_AUDIO_CODECS.keys()) pipeline.removeOutput(out);
    await setImmediate();
  }
  await collect();
  return process.memoryUsage().rss - before;
}

function fail(message = 'no units'): never {
  throw new Error(message);
}

async function collect(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await setImmediate();
  }
}

await grown(cycles);
process.stdout.write(`${JSON.stringify({ grownBytes: await grown(cycles), units })}\n`);
