import type { AnimationRequest, StillRequest } from '../core/contracts.ts';
import { assertNever, WireError } from '../core/errors.ts';
import type { VideoCodec, VideoFormat } from '../core/media.ts';
import { IpcFields, type IpcMessage } from '../core/process/ipc.ts';
import { PICTURE_LIMITS } from '../core/targets.ts';
import { VIDEO_CODECS } from '../core/wants.ts';
import { encodeFormat, parseFormat } from './format-ipc.ts';

/**
 * What the server and the codec process say to one another, in the framing of `core/process/ipc.ts`. A job has an id and a
 * kind; its answer is `done` or `failed` with that id. Both sides parse what they receive.
 */

export const MAX_PIXELS_A_SIDE = PICTURE_LIMITS.side[1];
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

/** Make an animation of some seconds. Sizes and quality as in `StillJob`. */
export interface AnimationJob {
  readonly kind: 'animation';
  readonly form: 'webp' | 'gif';
  readonly format: VideoFormat;
  /** In the order of decoding, from a key frame on; times in ticks of 90 kHz. */
  readonly units: readonly { readonly pts: number; readonly key: boolean; readonly data: Buffer }[];
  /** Pictures before are not shown. */
  readonly fromPts: number;
  readonly fps: number;
  readonly width: number;
  readonly height: number;
  readonly rotate: 0 | 90 | 180 | 270;
  readonly quality: number;
}

export type Job = StillJob | AnimationJob;

/** Units of a job, at most: ten seconds at 120 pictures a second. */
export const MAX_ANIMATION_UNITS = 1_200;

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

/** The job of a request. WebP at 75 is hardly to be told from the picture at the size of a notification. */
export function animationJob(request: AnimationRequest): AnimationJob {
  const { units, width = 0, height = 0, rotate = 0, quality = 75 } = request;
  return {
    ...request,
    kind: 'animation',
    units: units.slice(0, MAX_ANIMATION_UNITS),
    width,
    height,
    rotate,
    quality,
  };
}

/** As it goes to the codec process: the configuration record stands in front of the pictures in the payload. */
export function encodeJob(id: number, job: Job): { header: object; payload: Buffer } {
  if (job.kind === 'animation') {
    const { format, units, ...fields } = job;
    const encoded = encodeFormat(format);
    return {
      header: {
        id,
        ...fields,
        format: encoded.fields,
        formatBytes: encoded.payload.length,
        unitPts: units.map(({ pts }) => Math.round(pts)),
        unitBytes: units.map(({ data }) => data.length),
        unitKeys: units.map(({ key }) => (key ? 1 : 0)),
      },
      payload: Buffer.concat([encoded.payload, ...units.map(({ data }) => data)]),
    };
  }
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
  const kind = fields.oneOf('kind', ['still', 'animation']);
  switch (kind) {
    case 'animation':
      return { id, job: parseAnimation(fields, message.payload) };
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

function parseAnimation(fields: IpcFields, payload: Buffer): AnimationJob {
  const formatBytes = fields.integer('formatBytes', 0, payload.length);
  const pts = fields.integers('unitPts', -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const bytes = fields.integers('unitBytes', 0, payload.length);
  const keys = fields.integers('unitKeys', 0, 1);
  const total = bytes.reduce((sum, one) => sum + one, formatBytes);
  const even = bytes.length === pts.length && keys.length === pts.length && pts.length <= MAX_ANIMATION_UNITS;
  if (!even || total !== payload.length) {
    throw new WireError('codec.units', `${pts.length} units of ${total} bytes in a payload of ${payload.length}`, 0);
  }
  let at = formatBytes;
  const units = pts.map((time, index) => {
    const from = at;
    at += bytes[index] ?? 0;
    return { pts: time, key: keys[index] === 1, data: payload.subarray(from, at) };
  });
  const format = parseFormat(fields.object('format'), payload.subarray(0, formatBytes));
  if (format.kind !== 'video') throw new WireError('codec.format', 'an animation of sound', 0);
  const degrees = fields.integer('rotate', 0, 270);
  return {
    kind: 'animation',
    form: fields.oneOf('form', ['webp', 'gif']),
    format,
    units,
    fromPts: fields.number('fromPts', -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    fps: fields.number('fps', 0.1, 60),
    width: fields.integer('width', 0, MAX_PIXELS_A_SIDE),
    height: fields.integer('height', 0, MAX_PIXELS_A_SIDE),
    rotate: ROTATIONS.find((one) => one === degrees) ?? 0,
    quality: fields.integer('quality', 1, 100),
  };
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
