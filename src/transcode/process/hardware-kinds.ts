import {
  AV_HWDEVICE_TYPE_CUDA,
  AV_HWDEVICE_TYPE_QSV,
  AV_HWDEVICE_TYPE_VAAPI,
  AV_PIX_FMT_CUDA,
  AV_PIX_FMT_QSV,
  AV_PIX_FMT_VAAPI,
  type AVHWDeviceType,
  type AVPixelFormat,
} from 'node-av/constants';
import { Dictionary, FFmpegError, type Frame, HardwareDeviceContext, type HardwareFramesContext } from 'node-av/lib';
import { HARDWARE_NAMES, type HardwareCodec, type HardwareKind } from '../../core/hardware.ts';
import { JobError } from '../protocol.ts';

/** One way to open an encoder: drivers differ in what they take. */
export interface EncoderAttempt {
  /** Of pictures in memory. */
  readonly feed: 'nv12' | 'yuv420p';
  readonly options: Readonly<Record<string, string | number>>;
}

/** How FFmpeg works with one kind of hardware. */
export interface KindSpec {
  /** Absent where pictures are given and taken in memory. */
  readonly device?: {
    readonly type: AVHWDeviceType;
    /** Of pictures that stay in the device. */
    readonly pixelFormat: AVPixelFormat;
    /** A filter that scales them there, and makes 8 bits of 10. */
    readonly scale: (width: number, height: number) => readonly [filter: string, args: string];
    readonly options: (device: string | null) => Readonly<Record<string, string>>;
    /** Whether its encoders take pictures from memory too. */
    readonly takesMemory: boolean;
  };
  readonly decoders: Readonly<Record<HardwareCodec, string>>;
  readonly encoders: Readonly<Record<HardwareCodec, string>>;
  /** In the order in which they are tried. All without B-frames, and without pictures that wait in the encoder. */
  readonly attempts: readonly EncoderAttempt[];
}

/**
 * Decoders of VAAPI and CUDA are libavcodec's own, with the device as their helper (`hw_device_ctx`); the other kinds have
 * decoders of their own. Options: FFmpeg's documentation of its codecs ("VAAPI encoders", "QSV encoders", NVENC's help).
 */
export const KINDS: Readonly<Record<HardwareKind, KindSpec>> = {
  vaapi: {
    device: {
      type: AV_HWDEVICE_TYPE_VAAPI,
      pixelFormat: AV_PIX_FMT_VAAPI,
      scale: (width, height) => ['scale_vaapi', `w=${width}:h=${height}:format=nv12`],
      options: () => ({}),
      takesMemory: false,
    },
    decoders: { h264: 'h264', h265: 'hevc' },
    encoders: { h264: 'h264_vaapi', h265: 'hevc_vaapi' },
    attempts: [
      { feed: 'nv12', options: { async_depth: 1 } },
      // Newer graphics of Intel have only the encoder that they call "low power".
      { feed: 'nv12', options: { async_depth: 1, low_power: 1 } },
    ],
  },
  qsv: {
    device: {
      type: AV_HWDEVICE_TYPE_QSV,
      pixelFormat: AV_PIX_FMT_QSV,
      scale: (width, height) => ['vpp_qsv', `w=${width}:h=${height}:format=nv12:async_depth=1`],
      options: (device): Readonly<Record<string, string>> =>
        device === null ? {} : { child_device: device, child_device_type: 'vaapi' },
      takesMemory: true,
    },
    decoders: { h264: 'h264_qsv', h265: 'hevc_qsv' },
    encoders: { h264: 'h264_qsv', h265: 'hevc_qsv' },
    attempts: [{ feed: 'nv12', options: { async_depth: 1, forced_idr: 1, preset: 'veryfast' } }],
  },
  cuda: {
    device: {
      type: AV_HWDEVICE_TYPE_CUDA,
      pixelFormat: AV_PIX_FMT_CUDA,
      scale: (width, height) => ['scale_cuda', `w=${width}:h=${height}:format=nv12`],
      options: () => ({}),
      takesMemory: true,
    },
    decoders: { h264: 'h264', h265: 'hevc' },
    encoders: { h264: 'h264_nvenc', h265: 'hevc_nvenc' },
    attempts: [
      { feed: 'yuv420p', options: { preset: 'p3', tune: 'll', rc: 'vbr', zerolatency: 1, delay: 0, 'forced-idr': 1 } },
    ],
  },
  v4l2m2m: {
    decoders: { h264: 'h264_v4l2m2m', h265: 'hevc_v4l2m2m' },
    encoders: { h264: 'h264_v4l2m2m', h265: 'hevc_v4l2m2m' },
    attempts: [
      { feed: 'yuv420p', options: {} },
      { feed: 'nv12', options: {} },
    ],
  },
  rkmpp: {
    decoders: { h264: 'h264_rkmpp', h265: 'hevc_rkmpp' },
    encoders: { h264: 'h264_rkmpp', h265: 'hevc_rkmpp' },
    attempts: [{ feed: 'nv12', options: {} }],
  },
};

/** The kind of device that a picture lies in; undefined: in memory. */
export function deviceOf(pixelFormat: Frame['format']): KindSpec['device'] {
  return Object.values(KINDS).find(({ device }) => device?.pixelFormat === pixelFormat)?.device;
}

/**
 * The pool in a device that a picture comes from; null: it lies in memory. (node-av remembers what it said first of a
 * frame object, also that there is none.)
 */
export function poolOf(picture: Frame): HardwareFramesContext | null {
  return deviceOf(picture.format) === undefined ? null : picture.hwFramesCtx;
}

const opened = new Map<string, HardwareDeviceContext>();

/**
 * The device, opened with the first use and kept to the end of the process: opening one takes up to half a second.
 * @throws JobError with what the driver says
 */
export function openDevice(kind: HardwareKind, device: string | null): HardwareDeviceContext | null {
  const spec = KINDS[kind].device;
  if (spec === undefined) return null;
  const key = `${kind} ${device ?? ''}`;
  const known = opened.get(key);
  if (known !== undefined) return known;
  const context = new HardwareDeviceContext();
  const options = Object.entries(spec.options(device));
  const dictionary = options.length === 0 ? null : Dictionary.fromObject(Object.fromEntries(options));
  // Quick Sync is opened by way of the render node of its options.
  const result = context.create(spec.type, kind === 'qsv' ? null : device, dictionary);
  if (result < 0)
    throw new JobError('request', `${HARDWARE_NAMES[kind]} can't be opened: ${FFmpegError.strerror(result)}`);
  opened.set(key, context);
  return context;
}
