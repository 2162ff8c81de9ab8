import { AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P } from 'node-av/constants';
import type { CodecContext, Frame } from 'node-av/lib';
import { HARDWARE_CODECS, HARDWARE_NAMES, type HardwareCodec, type HardwareReport } from '../../core/hardware.ts';
import type { VideoTarget } from '../../core/targets.ts';
import { JobError } from '../protocol.ts';
import { FilterChain, type FilterStep } from './filter-chain.ts';
import { deviceOf, type EncoderAttempt, KINDS, type KindSpec, openDevice, poolOf } from './hardware-kinds.ts';
import { kindOf } from './shape-stage.ts';
import type { EncoderMaker, MadeVideoUnit, PictureKind, VideoEncoder } from './video-codecs.ts';
import { allocateEncoder, NalEncoder, openEncoder } from './video-encoder.ts';
import { maxKbps } from './video-target.ts';

/** Quick Sync counts them in 16 bits; the pipeline asks for a key frame long before. */
const NO_OWN_KEY_FRAMES = 30_000;
/**
 * What is used of the highest bit rate on average. Encoders of hardware spend what they may, also on a picture in which
 * nothing moves, so the default leaves more for what does.
 */
const USUAL_SHARE = 0.6;
/** Equal rates would mean a constant one, for which some drivers add bytes that say nothing. */
const ASKED_SHARE = 0.95;
const DOWNLOAD: readonly FilterStep[] = [
  ['hwdownload', ''],
  ['format', 'pix_fmts=nv12'],
];

export function hardwareEncoder(report: HardwareReport): EncoderMaker {
  const spec = KINDS[report.kind];
  const name = HARDWARE_NAMES[report.kind];
  return {
    name,
    open: (target, kind, fps) => {
      const codec = HARDWARE_CODECS.find((one) => one === target.codec);
      if (codec === undefined) throw new JobError('request', `${name} makes no ${target.codec}`);
      const setups = spec.attempts.map((attempt): Setup => {
        const steps = stepsInto(kind, spec, attempt);
        return {
          makeChain: (picture) => makeChain(kind, steps, report, picture),
          makeEncoder: (fed, picture) =>
            new NalEncoder(codec, openHardware(report, attempt, codec, target, fed, fps, picture), fps),
        };
      });
      return new FedEncoder(kind, setups);
    },
  };
}

/** As `maker`, also for pictures that lie in a device: they are brought into memory first. */
export function fromDevice(maker: EncoderMaker): EncoderMaker {
  return {
    name: maker.name,
    open: (target, kind, fps) => {
      if (deviceOf(kind.pixelFormat) === undefined) return maker.open(target, kind, fps);
      const steps: FilterStep[] = [...DOWNLOAD, ['format', 'pix_fmts=yuv420p']];
      const setup: Setup = {
        makeChain: (picture) => new FilterChain(kind, steps, { frames: poolOf(picture) }),
        makeEncoder: (fed) => maker.open(target, fed, fps),
      };
      return new FedEncoder(kind, [setup]);
    },
  };
}

/** What brings a picture to where the encoder takes it. */
function stepsInto(kind: PictureKind, { device }: KindSpec, { feed }: EncoderAttempt): readonly FilterStep[] {
  const from = deviceOf(kind.pixelFormat);
  if (from !== undefined && from === device) return [];
  const steps: FilterStep[] = from === undefined ? [] : [...DOWNLOAD];
  const wanted = feed === 'nv12' ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P;
  if (from !== undefined || kind.pixelFormat !== wanted) steps.push(['format', `pix_fmts=${feed}`]);
  if (device !== undefined && !device.takesMemory) steps.push(['hwupload', '']);
  return steps;
}

function makeChain(
  kind: PictureKind,
  steps: readonly FilterStep[],
  { kind: name, device }: HardwareReport,
  picture: Frame,
): FilterChain | null {
  if (steps.length === 0) return null;
  return new FilterChain(kind, steps, { frames: poolOf(picture), device: openDevice(name, device) });
}

function openHardware(
  report: HardwareReport,
  attempt: EncoderAttempt,
  codecName: HardwareCodec,
  target: VideoTarget,
  fed: PictureKind,
  fps: number,
  picture: Frame,
): CodecContext {
  const spec = KINDS[report.kind];
  const { context, codec } = allocateEncoder(spec.encoders[codecName], fed, fps);
  context.gopSize = NO_OWN_KEY_FRAMES;
  context.pixelFormat = fed.pixelFormat as CodecContext['pixelFormat'];
  const frames = poolOf(picture);
  const device = openDevice(report.kind, report.device);
  if (frames !== null) context.hwFramesCtx = frames;
  else if (device !== null) context.hwDeviceCtx = device;
  const most = maxKbps(target, fed, fps) * 1000;
  context.bitRate = BigInt(Math.round(most * (target.bitrateKbps === undefined ? USUAL_SHARE : ASKED_SHARE)));
  context.rcMaxRate = BigInt(most);
  context.rcBufferSize = most;
  return openEncoder(context, codec, attempt.options);
}

interface Setup {
  /** Null when pictures are taken as they are. */
  readonly makeChain: (picture: Frame) => FilterChain | null;
  readonly makeEncoder: (fed: PictureKind, picture: Frame) => VideoEncoder;
}

/**
 * An encoder behind filters that bring the pictures to it. Both are made with the first picture, for the pool in the device
 * that pictures come from is known only then; of several ways the first that gives no error.
 */
class FedEncoder implements VideoEncoder {
  readonly #kind: PictureKind;
  readonly #setups: readonly Setup[];
  #chain: FilterChain | null = null;
  #encoder: VideoEncoder | undefined;

  constructor(kind: PictureKind, setups: readonly Setup[]) {
    this.#kind = kind;
    this.#setups = setups;
  }

  encode(picture: Frame, pts: number, key: boolean): MadeVideoUnit | null {
    if (this.#encoder !== undefined) {
      return this.#encoder.encode(this.#chain?.apply(picture) ?? picture, pts, key);
    }
    let failure: unknown;
    for (const setup of this.#setups) {
      try {
        return this.#begin(setup, picture, pts, key);
      } catch (error) {
        this[Symbol.dispose]();
        failure ??= error;
      }
    }
    throw failure;
  }

  #begin({ makeChain, makeEncoder }: Setup, picture: Frame, pts: number, key: boolean): MadeVideoUnit | null {
    this.#chain = makeChain(picture);
    const fed = this.#chain?.apply(picture) ?? picture;
    // Filters don't know the aspect of the pixels.
    this.#encoder = makeEncoder({ ...kindOf(fed), aspect: this.#kind.aspect }, fed);
    return this.#encoder.encode(fed, pts, key);
  }

  [Symbol.dispose](): void {
    this.#encoder?.[Symbol.dispose]();
    this.#encoder = undefined;
    this.#chain?.[Symbol.dispose]();
    this.#chain = null;
  }
}
