import { assertNever } from '../core/errors.ts';
import type { AudioCodec } from '../core/media.ts';
import { IpcFields, type IpcMessage } from '../core/process/ipc.ts';

/** What the server and the picture maker say to one another, in the framing of `core/process/ipc.ts`. */

export type SceneName = 'nursery' | 'garden';
export const SCENE_NAMES: readonly SceneName[] = ['nursery', 'garden'];
export type SimulatedVideoCodec = 'h264' | 'h265';
export const VIDEO_CODECS: readonly SimulatedVideoCodec[] = ['h264', 'h265'];
export type SimulatedAudioCodec = Extract<AudioCodec, 'aac' | 'opus' | 'pcma' | 'pcmu'> | 'none';
export const AUDIO_CODECS: readonly SimulatedAudioCodec[] = ['aac', 'opus', 'pcma', 'pcmu', 'none'];

/** One stream of a simulated camera. */
export interface StreamPlan {
  readonly scene: SceneName;
  /** Burnt in below the clock. */
  readonly title: string;
  readonly codec: SimulatedVideoCodec;
  /** Pixels, even. */
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** Pictures from one key frame to the next. */
  readonly gop: number;
  /** 0: as the picture needs at an even quality; else noise is added until so much is used. */
  readonly bitRateKbps: number;
  readonly bFrames: number;
  readonly audio: SimulatedAudioCodec;
}

export type ToMaker =
  | { readonly type: 'start'; readonly id: number; readonly plan: StreamPlan }
  | { readonly type: 'resize'; readonly id: number; readonly width: number; readonly height: number }
  | { readonly type: 'stop'; readonly id: number };

export type FromMaker =
  /** `startMs`: UTC at which the tick 0 of both tracks is; then the audio's configuration as payload. */
  | { readonly type: 'started'; readonly id: number; readonly startMs: number; readonly config: Buffer }
  /** A byte stream (annex B) of one picture; ticks of 90 kHz. */
  | {
      readonly type: 'video';
      readonly id: number;
      readonly ticks: number;
      readonly decodeTicks: number;
      readonly data: Buffer;
    }
  /** Ticks of the sampling rate. */
  | { readonly type: 'audio'; readonly id: number; readonly ticks: number; readonly data: Buffer }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };

const MAX_ID = Number.MAX_SAFE_INTEGER;
const MAX_TICKS = Number.MAX_SAFE_INTEGER;

/** Sampling rate of each audio codec: what cameras use; Opus counts in 48 kHz whatever it holds (RFC 7587 §4.1). */
export const SAMPLE_RATES_HZ: Readonly<Record<SimulatedAudioCodec, number>> = {
  aac: 16_000,
  opus: 48_000,
  pcma: 8_000,
  pcmu: 8_000,
  none: 8_000,
};

/** The header of a message to the picture maker. */
export function encodeToMaker(message: ToMaker): object {
  if (message.type !== 'start') return message;
  const { plan, ...rest } = message;
  return { ...rest, ...plan };
}

/** @throws WireError */
export function parseToMaker({ header }: IpcMessage): ToMaker {
  const fields = new IpcFields(header);
  const type = fields.oneOf('type', ['start', 'resize', 'stop']);
  const id = fields.integer('id', 0, MAX_ID);
  switch (type) {
    case 'start':
      return {
        type,
        id,
        plan: {
          scene: fields.oneOf('scene', SCENE_NAMES),
          title: fields.text('title'),
          codec: fields.oneOf('codec', VIDEO_CODECS),
          width: fields.integer('width', 64, 4096),
          height: fields.integer('height', 64, 4096),
          fps: fields.number('fps', 1, 60),
          gop: fields.integer('gop', 1, 3600),
          bitRateKbps: fields.integer('bitRateKbps', 0, 50_000),
          bFrames: fields.integer('bFrames', 0, 4),
          audio: fields.oneOf('audio', AUDIO_CODECS),
        },
      };
    case 'resize':
      return { type, id, width: fields.integer('width', 64, 4096), height: fields.integer('height', 64, 4096) };
    case 'stop':
      return { type, id };
    default:
      return assertNever(type);
  }
}

/** A message of the picture maker: small fields as header, bytes as payload. */
export function encodeFromMaker(message: FromMaker): { header: object; payload?: Buffer } {
  switch (message.type) {
    case 'failed':
      return { header: message };
    case 'started': {
      const { config, ...header } = message;
      return { header, payload: config };
    }
    case 'video':
    case 'audio': {
      const { data, ...header } = message;
      return { header, payload: data };
    }
    default:
      return assertNever(message);
  }
}

/** @throws WireError */
export function parseFromMaker({ header, payload }: IpcMessage): FromMaker {
  const fields = new IpcFields(header);
  const type = fields.oneOf('type', ['started', 'video', 'audio', 'failed']);
  const id = fields.integer('id', 0, MAX_ID);
  switch (type) {
    case 'started':
      return { type, id, startMs: fields.number('startMs', 0, MAX_TICKS), config: payload };
    case 'video':
      return {
        type,
        id,
        ticks: fields.integer('ticks', -MAX_TICKS, MAX_TICKS),
        decodeTicks: fields.integer('decodeTicks', -MAX_TICKS, MAX_TICKS),
        data: payload,
      };
    case 'audio':
      return { type, id, ticks: fields.integer('ticks', -MAX_TICKS, MAX_TICKS), data: payload };
    case 'failed':
      return { type, id, message: fields.text('message') };
    default:
      return assertNever(type);
  }
}
