import { inflateRawSync } from 'node:zlib';
import { HearthcamError } from '../../core/errors.ts';

const LABELS = 'yamnet_label_list.txt';
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_LABEL_BYTES = 1 << 20;

/**
 * Names of the model's classes, in the order of its scores: a text in the ZIP that is appended to the model file
 * (TensorFlow Lite's "associated files"; ZIP: APPNOTE 4.3.6 to 4.3.16, read from its end).
 * @throws HearthcamError `listen.model` when there is none
 */
export function readLabels(file: Buffer): readonly string[] {
  const lowest = Math.max(0, file.length - END_BYTES - MAX_COMMENT_BYTES);
  let end = file.length - END_BYTES;
  while (end >= lowest && file.readUInt32LE(end) !== 0x06054b50) end -= 1;
  if (end < lowest) throw noLabels('no ZIP with the names of its classes is appended to it');
  const count = file.readUInt16LE(end + 10);
  const bytes = file.readUInt32LE(end + 12);
  // Offsets count from where the ZIP begins: right before its directory lies its content, so from the end backwards.
  let at = end - bytes;
  const base = at - file.readUInt32LE(end + 16);
  for (let index = 0; index < count && at >= 0 && at + ENTRY_BYTES <= end; index++) {
    const nameBytes = file.readUInt16LE(at + 28);
    const name = file.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
    if (name === LABELS) return namesOf(file, at, base);
    at += ENTRY_BYTES + nameBytes + file.readUInt16LE(at + 30) + file.readUInt16LE(at + 32);
  }
  throw noLabels(`the ZIP appended to it has no ${LABELS}`);
}

function namesOf(file: Buffer, entry: number, base: number): readonly string[] {
  const method = file.readUInt16LE(entry + 10);
  const packedBytes = file.readUInt32LE(entry + 20);
  const local = base + file.readUInt32LE(entry + 42);
  if (local < 0 || local + LOCAL_BYTES > entry) throw noLabels('the ZIP appended to it is damaged');
  const from = local + LOCAL_BYTES + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
  const packed = file.subarray(from, from + packedBytes);
  try {
    const text = method === 0 ? packed : inflateRawSync(packed, { maxOutputLength: MAX_LABEL_BYTES });
    return text.toString('utf8').trim().split(/\r?\n/);
  } catch (error) {
    throw noLabels('the ZIP appended to it is damaged', error);
  }
}

function noLabels(why: string, cause?: unknown): HearthcamError {
  return new HearthcamError('listen.model', `the model file can't be used: ${why}`, {
    hint: 'use the official yamnet.tflite with metadata',
    ...(cause === undefined ? {} : { cause }),
  });
}
