import { rtspOutput } from '../src/outputs/rtsp/module.ts';
import { type Simulator, type SimulatorOptions, startSimulator } from '../src/simulate/simulator.ts';
import { MemoryLog } from './memory-log.ts';

export { type FrameMark, readFrameMark } from '../src/simulate/mark.ts';

export interface TestSimulator extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly log: MemoryLog;
  /** Address of a stream of a camera. */
  url(camera: string, variant?: 'main' | 'sub'): string;
}

/**
 * Simulated cameras on loopback, served by the project's own RTSP server; for a camera that shares no code with the
 * project see `gst-camera.ts`. Default: `nursery` and `garden`, each with `main` and `sub`. Close with `await using`.
 */
export async function startTestSimulator(
  options: Partial<Omit<SimulatorOptions, 'log' | 'rtspOutput'>> = {},
): Promise<TestSimulator> {
  const log = new MemoryLog();
  const simulator = await startSimulator({ ...options, log, rtspOutput });
  return {
    simulator,
    log,
    url: (name, variant = 'main') => {
      const url = simulator.cameras.find((camera) => camera.name === name)?.[variant];
      if (url === undefined) throw new Error(`the simulator has no ${name}/${variant}`);
      return url;
    },
    [Symbol.asyncDispose]: () => simulator.stop(),
  };
}
