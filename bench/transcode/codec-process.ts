import { HelperProcess } from '../../src/core/process/helper.ts';
import { IpcFields } from '../../src/core/process/ipc.ts';
import type { Target } from '../../src/core/targets.ts';
import { encodeOrder, type PipelineOrder, parseReport } from '../../src/transcode/pipeline-protocol.ts';
import { MemoryLog } from '../../testkit/memory-log.ts';
import type { Clip } from '../../testkit/mp4-source.ts';
import { cpuSeconds } from '../lib/process.ts';

/** Units that may be on their way: enough that the process never waits, as few as a live stream has in a bad moment. */
const WINDOW = 32;

/** What a whole clip costs. */
export interface Cost {
  /** Processor time of the codec process behind its start, in seconds. */
  readonly cpuS: number;
  readonly made: number;
}

/** Hands a track of a clip to the codec process as fast as it takes it, the way the server does. */
export async function costInCodecProcess(clip: Clip, track: number, target: Target): Promise<Cost> {
  const ready = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  let done = 0;
  let made = 0;
  let wake = (): void => {};
  const helper = new HelperProcess({
    name: 'codec process',
    folder: 'transcode',
    log: new MemoryLog(),
    keepsMemory: true,
    onMessage: (message) => {
      const fields = new IpcFields(message.header);
      if (!fields.has('pipe')) {
        ready.resolve();
        return;
      }
      const report = parseReport(message);
      if (report.type === 'made') made++;
      if (report.type === 'broken') failed.reject(new Error(report.message));
      if (report.type !== 'progress') return;
      done = report.units;
      wake();
    },
    onExit: (reason) => failed.reject(reason),
  });
  failed.promise.catch(() => {});
  await using _helper = helper;
  const send = (order: PipelineOrder): void => {
    const { header, payload } = encodeOrder(order);
    helper.send(header, payload);
  };
  await Promise.race([ready.promise, failed.promise]);
  const startS = cpuSeconds(helper.pid ?? 0);
  const units = clip.units.filter((unit) => unit.track === track);
  const [first] = units;
  if (first === undefined) throw new Error(`the clip has no track ${track}`);
  send({ type: 'input', pipe: 1, format: first.format });
  send({ type: 'output', pipe: 1, out: 1, target, afterPts: -1e15 });
  let pushed = 0;
  for (const { ticks, decodeTicks, key, data } of units) {
    while (pushed - done >= WINDOW) await Promise.race([nextReport(), failed.promise]);
    send({ type: 'unit', pipe: 1, pts: ticks, dts: decodeTicks, key, data });
    pushed++;
  }
  while (done < pushed) await Promise.race([nextReport(), failed.promise]);
  return { cpuS: cpuSeconds(helper.pid ?? 0) - startS, made };

  function nextReport(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve;
    });
  }
}
