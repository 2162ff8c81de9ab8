import type { StillRequest } from '../core/contracts.ts';
import { assertNever } from '../core/errors.ts';
import type { VideoCodec } from '../core/media.ts';
import { IpcFields, type IpcMessage } from '../core/process/ipc.ts';
import { VIDEO_CODECS } from '../core/wants.ts';

/**
 * What the server and the codec process say to one another, in the framing of `core/process/ipc.ts`. A job has an id and a
 * kind; its answer is `done` or `failed` with that id. Both sides parse what they receive.
 */

export const MAX_PIXELS_A_SIDE = 8192;
const ROTATIONS = [0, 90, 180, 270] as const;

/** Make a JPEG of one key frame. */
export interface StillJob {
  readonly kind: 'still';
  readonly codec: VideoCodec;
  /** Codec configuration record: avcC, hvcC, av1C, vpcC; empty where the codec needs none. */
  readonly config: Buffer;
  /** As `AccessUnit.data`. */
  readonly data: Buffer;
  /** Pixels before rotation; 0: follows from the other one and the aspect ratio, or is that of the picture. */
  readonly width: number;
  readonly height: number;
  /** Degrees clockwise. */
  readonly rotate: 0 | 90 | 180 | 270;
  /** 1…100 */
  readonly quality: number;
}

export type Job = StillJob;

/** Why a job failed: `input`: these bytes can't be decoded; `request`: what is asked for can't be made. */
export type JobFault = 'input' | 'request';
export const JOB_FAULTS: readonly JobFault[] = ['input', 'request'];

/** Thrown by a job in the codec process; sent to the server as `failed`. */
export class JobError extends Error {
  readonly fault: JobFault;

  constructor(fault: JobFault, message: string) {
    super(message);
    this.name = 'JobError';
    this.fault = fault;
  }
}

export type CodecAnswer =
  | { readonly type: 'ready' }
  /** FFmpeg's libraries can't be loaded here. */
  | { readonly type: 'unavailable'; readonly message: string }
  | { readonly type: 'done'; readonly id: number; readonly result: Buffer }
  | { readonly type: 'failed'; readonly id: number; readonly fault: JobFault; readonly message: string };

/** What nobody asked to be otherwise: about a third smaller than 95 and hardly to be told apart from it. */
const DEFAULT_QUALITY = 85;

/** The job of a request, with the default quality where none is asked for. */
export function stillJob(request: StillRequest): StillJob {
  return {
    kind: 'still',
    codec: request.format.codec,
    config: request.format.config,
    data: request.data,
    width: request.width ?? 0,
    height: request.height ?? 0,
    rotate: request.rotate ?? 0,
    quality: request.quality ?? DEFAULT_QUALITY,
  };
}

/** As it goes to the codec process: the configuration record stands in front of the picture in the payload. */
export function encodeJob(id: number, job: Job): { header: object; payload: Buffer } {
  const { config, data, ...fields } = job;
  return {
    header: { id, ...fields, configBytes: config.length },
    payload: config.length === 0 ? data : Buffer.concat([config, data]),
  };
}

/** @throws WireError */
export function parseJob(message: IpcMessage): { id: number; job: Job } {
  const fields = new IpcFields(message.header);
  const id = fields.integer('id', 0, Number.MAX_SAFE_INTEGER);
  const kind = fields.oneOf('kind', ['still']);
  switch (kind) {
    case 'still': {
      const configBytes = fields.integer('configBytes', 0, message.payload.length);
      const degrees = fields.integer('rotate', 0, 270);
      const job: StillJob = {
        kind,
        codec: fields.oneOf('codec', VIDEO_CODECS),
        config: message.payload.subarray(0, configBytes),
        data: message.payload.subarray(configBytes),
        width: fields.integer('width', 0, MAX_PIXELS_A_SIDE),
        height: fields.integer('height', 0, MAX_PIXELS_A_SIDE),
        rotate: ROTATIONS.find((one) => one === degrees) ?? 0,
        quality: fields.integer('quality', 1, 100),
      };
      return { id, job };
    }
    default:
      return assertNever(kind);
  }
}

/** @throws WireError */
export function parseAnswer(message: IpcMessage): CodecAnswer {
  const fields = new IpcFields(message.header);
  const type = fields.oneOf('type', ['ready', 'unavailable', 'done', 'failed']);
  switch (type) {
    case 'ready':
      return { type };
    case 'unavailable':
      return { type, message: fields.text('message') };
    case 'done':
      return { type, id: fields.integer('id', 0, Number.MAX_SAFE_INTEGER), result: message.payload };
    case 'failed':
      return {
        type,
        id: fields.integer('id', 0, Number.MAX_SAFE_INTEGER),
        fault: fields.oneOf('fault', JOB_FAULTS),
        message: fields.text('message'),
      };
    default:
      return assertNever(type);
  }
}
