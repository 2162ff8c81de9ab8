import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInThisContext } from 'node:vm';
import { HearthcamError } from '../../core/errors.ts';
import { withOutput } from './graph.ts';

/** Runs one model of fixed input and output. */
export interface Model {
  readonly inputs: number;
  /** How long each output is, in the order in which `run` puts them one behind the other. */
  readonly outputs: readonly number[];
  run(input: Float32Array): Promise<Float32Array<ArrayBuffer>>;
}

/** The 1,024 numbers from which YAMNet's last layer tells its classes. */
const EMBEDDING = 'tower0/network/layer28/reduce_mean';

/** The build with relaxed SIMD: every V8 of Node 22 and later has it. */
const RUNTIME = 'litert_wasm_internal.js';

/** Where LiteRT's WebAssembly lies in its package. */
export function packageRuntime(): string {
  return join(dirname(fileURLToPath(import.meta.resolve('@litertjs/core'))), '..', 'wasm');
}

/**
 * LiteRT is written for browsers. Its loader runs a script by `importScripts`, and the script, which sees that it is
 * in Node, wants CommonJS's names and fetches its .wasm by `fetch` or from the file system.
 */
function browserNames(directory: string): void {
  const names: Record<string, unknown> = {
    self: globalThis,
    importScripts: (path: string) => runInThisContext(readFileSync(path, 'utf8'), { filename: path }),
    require: createRequire(join(directory, RUNTIME)),
    __filename: join(directory, RUNTIME),
    __dirname: directory,
  };
  Object.assign(globalThis, names);
}

/**
 * Loads the runtime and YAMNet: its scores, and its embedding as a second output.
 * @param directory where LiteRT's WebAssembly lies
 * @throws HearthcamError `listen.model` if the file is no such model
 */
export async function loadModel(path: string, directory: string): Promise<Model> {
  browserNames(directory);
  const { loadLiteRt, loadAndCompile, Tensor } = await import('@litertjs/core');
  await loadLiteRt(join(directory, RUNTIME));
  const compiled = await loadAndCompile(withOutput(await readFile(path), EMBEDDING), { accelerator: 'wasm' });
  const [inputs, more] = compiled.getInputDetails().map(size);
  if (inputs === undefined || more !== undefined) {
    throw new HearthcamError('listen.model', 'the model must have one input, the samples');
  }
  const outputs = compiled.getOutputDetails().map(size);
  const total = outputs.reduce((sum, one) => sum + one, 0);
  return {
    inputs,
    outputs,
    run: async (input) => {
      const tensor = new Tensor(input, [inputs]);
      try {
        // Copied: what the tensors give lies in the memory of the runtime, which moves when it grows.
        const all = new Float32Array(total);
        let at = 0;
        for (const result of await compiled.run([tensor])) {
          all.set(result.toTypedArray(), at);
          at += size(result.type.layout);
          result.delete();
        }
        return all;
      } finally {
        tensor.delete();
      }
    },
  };
}

function size({
  shape,
  dimensions,
}: {
  readonly shape?: ArrayLike<number>;
  readonly dimensions?: ArrayLike<number>;
}): number {
  return Array.from(shape ?? dimensions ?? []).reduce((product, dimension) => product * dimension, 1);
}
