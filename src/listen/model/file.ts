import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError, HearthcamError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';

/** A model that the program uses but does not ship. */
export interface ModelSource {
  readonly fileName: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Tried one after the other. */
  readonly urls: readonly string[];
}

/**
 * Google's YAMNet classifier (AudioSet, 521 classes; Apache-2.0) with the names of its classes. The first address is the
 * one that MediaPipe's own build uses (with this hash), the second that of TensorFlow Lite's task library.
 */
export const YAMNET: ModelSource = {
  fileName: 'yamnet.tflite',
  bytes: 4_126_810,
  sha256: '10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de',
  urls: [
    'https://storage.googleapis.com/mediapipe-assets/yamnet_audio_classifier_with_metadata.tflite?generation=1661875980774466',
    'https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/audio_classification/android/lite-model_yamnet_classification_tflite_1.tflite',
  ],
};

export interface ModelProgress {
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface ModelFileOptions {
  /** `models.dir` of the configuration. */
  readonly directory: string;
  readonly log: Log;
  readonly source?: ModelSource;
  readonly onProgress?: (progress: ModelProgress) => void;
  readonly signal?: AbortSignal;
  /** Without an answer or further bytes for so long, an attempt is given up. Default 30 s. */
  readonly idleMs?: number;
}

const IDLE_MS = 30_000;
/** A connection that breaks off is resumed so often for each address. */
const TRIES = 4;
const LOG_EVERY_SHARE = 0.25;

/**
 * Path of the model: found in the directory, else downloaded once. What an earlier attempt left is continued, the file
 * appears under its name only when its hash is right, and from then on the network is not asked again.
 * @throws HearthcamError `listen.model` for a wrong file, `listen.download` when it can't be had
 */
export async function ensureModel(options: ModelFileOptions): Promise<string> {
  const source = options.source ?? YAMNET;
  const path = join(options.directory, source.fileName);
  if (await exists(path)) {
    await checkModel(path, source);
    return path;
  }
  await mkdir(options.directory, { recursive: true });
  const part = `${path}.part`;
  options.log.info(`downloading the model ${source.fileName}, once`, { bytes: source.bytes, to: options.directory });
  const failures: string[] = [];
  for (const url of source.urls) {
    try {
      await download(url, part, source, options);
      await checkModel(part, source);
      await rename(part, path);
      options.log.info(`the model ${source.fileName} is here and its hash is right`);
      return path;
    } catch (error) {
      options.signal?.throwIfAborted();
      const wrong = error instanceof HearthcamError && error.code === 'listen.model';
      // Whatever it is, it is not the beginning of the model: never continued.
      if (wrong) await rm(part, { force: true });
      failures.push(`${new URL(url).host}: ${describeError(error)}`);
      options.log.warn(`can't download the model from ${new URL(url).host}: ${describeError(error)}`);
    }
  }
  throw new HearthcamError('listen.download', `can't download ${source.fileName}: ${failures.join('; ')}`, {
    status: 502,
    hint: `put the file (${source.bytes} bytes) into ${options.directory} yourself, or try again when the network is back`,
  });
}

/**
 * Checks length and hash.
 * @throws HearthcamError `listen.model` which says what is wrong
 */
export async function checkModel(path: string, source: ModelSource = YAMNET): Promise<void> {
  const { size } = await stat(path);
  // Read as a whole only when it can be the right one.
  if (size === source.bytes) {
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    if (sha256 === source.sha256) return;
    throw wrongModel(path, `its SHA-256 is ${sha256}, expected ${source.sha256}`);
  }
  throw wrongModel(path, `it has ${size} bytes, expected ${source.bytes}`);
}

function wrongModel(path: string, why: string): HearthcamError {
  return new HearthcamError('listen.model', `${path} is not the model that is needed: ${why}`, {
    hint: 'remove the file, and it will be downloaded anew',
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** Until the part has its full length; continues after breaks. */
async function download(url: string, part: string, source: ModelSource, options: ModelFileOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await using file = await open(part, 'a+');
      let have = (await file.stat()).size;
      if (have > source.bytes) {
        await file.truncate(0);
        have = 0;
      }
      if (have < source.bytes) await fetchRest(url, file, have, source, options);
      await file.sync();
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof HearthcamError || attempt >= TRIES) throw error;
      options.log.debug(`the download broke off, continuing: ${describeError(error)}`);
    }
  }
}

async function fetchRest(
  url: string,
  file: FileHandle,
  from: number,
  source: ModelSource,
  options: ModelFileOptions,
): Promise<void> {
  const idle = new AbortController();
  const idleMs = options.idleMs ?? IDLE_MS;
  const timer = setTimeout(() => idle.abort(new Error(`nothing came for ${idleMs / 1_000} s`)), idleMs);
  const signal = options.signal === undefined ? idle.signal : AbortSignal.any([options.signal, idle.signal]);
  try {
    const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    const response = await fetch(url, { headers, signal });
    let have = from;
    if (response.status !== 206 || response.headers.get('content-range')?.startsWith(`bytes ${from}-`) !== true) {
      have = 0;
      if (response.status === 416) {
        await file.truncate(0);
        throw new Error('the server does not continue what was begun');
      }
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new HearthcamError('listen.download', `the server answers ${response.status} ${response.statusText}`);
      }
      await file.truncate(0);
    }
    let told = have;
    for await (const chunk of response.body ?? []) {
      timer.refresh();
      have += chunk.length;
      if (have > source.bytes) throw wrongModel(url, `it has more than ${source.bytes} bytes`);
      await file.appendFile(chunk);
      options.onProgress?.({ bytes: have, totalBytes: source.bytes });
      if (have - told >= source.bytes * LOG_EVERY_SHARE) {
        told = have;
        options.log.info(`model: ${Math.round((have / source.bytes) * 100)} % downloaded`);
      }
    }
    if (have < source.bytes) throw new Error(`the connection ended after ${have} of ${source.bytes} bytes`);
  } finally {
    clearTimeout(timer);
  }
}
