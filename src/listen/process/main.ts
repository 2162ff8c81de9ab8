import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { loadModel, packageRuntime } from './litert.ts';

/**
 * The worker thread that runs the model. It is given the model's path as `workerData` and says `ready`; then each
 * message is one window of samples, answered by the model's outputs in the order of the windows.
 */
const port = parentPort;
if (port === null) throw new Error('this is the program of a worker thread');
const path: unknown = workerData;
if (typeof path !== 'string') throw new Error('the worker needs the path of the model');

// scripts/build.ts puts the runtime beside the bundle of this file.
const fromSources = import.meta.url.endsWith('.ts');
const runtime = fromSources ? packageRuntime() : fileURLToPath(new URL('./litert', import.meta.url));
const model = await loadModel(path, runtime);
port.on('message', (samples: unknown) => {
  // Whatever fails ends the thread: a runtime that failed in the middle can't be trusted with the next window.
  if (!(samples instanceof Float32Array)) throw new Error('a window must be a Float32Array');
  void model.run(samples).then((outputs) => port.postMessage({ type: 'outputs', outputs }, [outputs.buffer]));
});
releaseMemory();
port.postMessage({ type: 'ready', outputs: model.outputs });

/** What loading left behind (the model's file twice, pieces of the runtime) is some 15 MB that nothing else would collect soon. */
function releaseMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
}
