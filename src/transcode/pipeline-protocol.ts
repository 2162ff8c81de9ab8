import { assertNever, WireError } from '../core/errors.ts';
import type { HardwareReport } from '../core/hardware.ts';
import type { TrackFormat } from '../core/media.ts';
import { MAX_MOSAIC_CELLS, type MosaicShape } from '../core/mosaic.ts';
import { IpcFields, type IpcMessage } from '../core/process/ipc.ts';
import { HARDWARE, MADE_AUDIO_CODECS, MADE_VIDEO_CODECS, PICTURE_LIMITS, type Target } from '../core/targets.ts';
import { encodeFormat, parseFormat } from './format-ipc.ts';
import { formatReports, parseReports } from './hardware/report.ts';
import { JOB_FAULTS, type JobFault } from './protocol.ts';

/**
 * What the server and the codec process say to one another about pipelines (see `pipeline.ts`), in the framing of
 * `core/process/ipc.ts`. Pipes and outputs are numbered by the server. Both sides parse what they receive.
 */
export type PipelineOrder =
  /** Begins a pipe, or changes its input's format. */
  | {
      readonly type: 'input';
      readonly pipe: number;
      readonly format: TrackFormat;
      /** What works here of the hardware, for outputs that are to use it. */
      readonly hardware?: readonly HardwareReport[];
      /** Its pictures are shown in a cell of a mosaic; it has no outputs then. */
      readonly cell?: MosaicCellRef;
    }
  /** Begins a mosaic, which gives its pictures as output 0 of the pipe. */
  | MosaicOrder
  | {
      readonly type: 'output';
      readonly pipe: number;
      readonly out: number;
      readonly target: Target;
      /** Frames up to this time are not wanted any more. */
      readonly afterPts: number;
    }
  | { readonly type: 'drop'; readonly pipe: number; readonly out: number }
  | {
      readonly type: 'unit';
      readonly pipe: number;
      readonly pts: number;
      readonly dts: number;
      readonly key: boolean;
      readonly data: Buffer;
    }
  | { readonly type: 'key'; readonly pipe: number; readonly out: number }
  | { readonly type: 'close'; readonly pipe: number };

export interface MosaicCellRef {
  /** The pipe of the mosaic, which is there already. */
  readonly mosaic: number;
  readonly slot: number;
}

export interface MosaicOrder {
  readonly type: 'mosaic';
  readonly pipe: number;
  readonly shape: MosaicShape;
  /** What is written into cells, one for each cell. */
  readonly names: readonly string[];
  /** Time of the first picture; those that follow are later by the clock. */
  readonly startPts: number;
}

export type PipelineReport =
  | { readonly type: 'format'; readonly pipe: number; readonly out: number; readonly format: TrackFormat }
  | {
      readonly type: 'made';
      readonly pipe: number;
      readonly out: number;
      readonly pts: number;
      readonly dts: number;
      readonly key: boolean;
      readonly data: Buffer;
    }
  /** How many units of the pipe were worked on since it began, and how many of them could not be decoded. */
  | { readonly type: 'progress'; readonly pipe: number; readonly units: number; readonly damaged: number }
  | {
      readonly type: 'broken';
      readonly pipe: number;
      readonly out: number;
      readonly fault: JobFault;
      readonly message: string;
    }
  | { readonly type: 'note'; readonly pipe: number; readonly out: number; readonly message: string };

const ORDERS = ['input', 'mosaic', 'output', 'drop', 'unit', 'key', 'close'] as const;
const REPORTS = ['format', 'made', 'progress', 'broken', 'note'] as const;
const ROTATIONS = [90, 180, 270] as const;
const MAX_ID = Number.MAX_SAFE_INTEGER;

/** Whether a message is an order for a pipe, and not a job (`protocol.ts`). */
export function isOrder(message: IpcMessage): boolean {
  return new IpcFields(message.header).has('pipe');
}

/** As it goes over the socket. */
export function encodeOrder(order: PipelineOrder): { header: object; payload?: Buffer } {
  if (order.type === 'input') {
    const { hardware, ...input } = order;
    return withFormat(hardware === undefined ? input : { ...input, hardware: formatReports(hardware) });
  }
  if (order.type === 'unit') return withData(order);
  return { header: order };
}

export function encodeReport(report: PipelineReport): { header: object; payload?: Buffer } {
  if (report.type === 'format') return withFormat(report);
  if (report.type === 'made') return withData(report);
  return { header: report };
}

function withFormat<T extends { readonly format: TrackFormat }>(message: T): { header: object; payload: Buffer } {
  const { fields, payload } = encodeFormat(message.format);
  return { header: { ...message, format: fields }, payload };
}

function withData<T extends { readonly data: Buffer }>(message: T): { header: object; payload: Buffer } {
  const { data, ...header } = message;
  return { header, payload: data };
}

/** @throws WireError */
export function parseOrder(message: IpcMessage): PipelineOrder {
  const fields = new IpcFields(message.header);
  const type = fields.oneOf('type', ORDERS);
  const pipe = fields.integer('pipe', 0, MAX_ID);
  switch (type) {
    case 'input':
      return {
        type,
        pipe,
        format: parseFormat(fields.object('format'), message.payload),
        ...(fields.has('hardware') ? { hardware: parseReports(fields.text('hardware')) } : {}),
        ...(fields.has('cell') ? { cell: parseCell(fields.object('cell')) } : {}),
      };
    case 'mosaic':
      return parseMosaic(pipe, fields);
    case 'output':
      return {
        type,
        pipe,
        out: fields.integer('out', 0, MAX_ID),
        target: parseTarget(fields.object('target')),
        afterPts: fields.number('afterPts', -MAX_ID, MAX_ID),
      };
    case 'unit':
      return { type, pipe, ...parseTimes(fields), data: message.payload };
    case 'drop':
    case 'key':
      return { type, pipe, out: fields.integer('out', 0, MAX_ID) };
    case 'close':
      return { type, pipe };
    default:
      return assertNever(type);
  }
}

/** @throws WireError */
export function parseReport(message: IpcMessage): PipelineReport {
  const fields = new IpcFields(message.header);
  const type = fields.oneOf('type', REPORTS);
  const pipe = fields.integer('pipe', 0, MAX_ID);
  if (type === 'progress') {
    return {
      type,
      pipe,
      units: fields.integer('units', 0, MAX_ID),
      damaged: fields.integer('damaged', 0, MAX_ID),
    };
  }
  const out = fields.integer('out', 0, MAX_ID);
  switch (type) {
    case 'format':
      return { type, pipe, out, format: parseFormat(fields.object('format'), message.payload) };
    case 'made':
      return { type, pipe, out, ...parseTimes(fields), data: message.payload };
    case 'broken':
      return { type, pipe, out, fault: fields.oneOf('fault', JOB_FAULTS), message: fields.text('message') };
    case 'note':
      return { type, pipe, out, message: fields.text('message') };
    default:
      return assertNever(type);
  }
}

function parseCell(fields: IpcFields): MosaicCellRef {
  return { mosaic: fields.integer('mosaic', 0, MAX_ID), slot: fields.integer('slot', 0, MAX_MOSAIC_CELLS - 1) };
}

function parseMosaic(pipe: number, fields: IpcFields): MosaicOrder {
  const shape = fields.object('shape');
  const names = fields.texts('names');
  if (names.length === 0 || names.length > MAX_MOSAIC_CELLS) {
    throw new WireError('ipc.mosaic', `a mosaic of ${names.length} cells`, 0);
  }
  const [minSide, maxSide] = PICTURE_LIMITS.side;
  return {
    type: 'mosaic',
    pipe,
    shape: {
      width: shape.integer('width', minSide, maxSide),
      height: shape.integer('height', minSide, maxSide),
      fps: shape.number('fps', 1, 60),
      labels: shape.flag('labels'),
      ...(shape.has('bitrateKbps') ? { bitrateKbps: shape.integer('bitrateKbps', ...PICTURE_LIMITS.bitrateKbps) } : {}),
    },
    names,
    startPts: fields.number('startPts', 0, MAX_ID),
  };
}

function parseTimes(fields: IpcFields): { pts: number; dts: number; key: boolean } {
  return {
    pts: fields.number('pts', -MAX_ID, MAX_ID),
    dts: fields.number('dts', -MAX_ID, MAX_ID),
    key: fields.flag('key'),
  };
}

/** What the pipeline can't do it refuses itself, with a reason; here only the types are checked. */
function parseTarget(fields: IpcFields): Target {
  const number = (name: string): Record<string, number> =>
    fields.has(name) ? { [name]: fields.number(name, -MAX_ID, MAX_ID) } : {};
  if (fields.oneOf('kind', ['video', 'audio']) === 'audio') {
    return {
      kind: 'audio',
      codec: fields.oneOf('codec', MADE_AUDIO_CODECS),
      ...number('sampleRateHz'),
      ...number('channels'),
      ...number('bitrateKbps'),
    };
  }
  const degrees = fields.has('rotate') ? fields.integer('rotate', 0, 270) : 0;
  const rotate = ROTATIONS.find((one) => one === degrees);
  return {
    kind: 'video',
    codec: fields.oneOf('codec', MADE_VIDEO_CODECS),
    ...number('width'),
    ...number('height'),
    ...(rotate === undefined ? {} : { rotate }),
    ...(fields.has('flip') ? { flip: fields.oneOf('flip', ['horizontal', 'vertical']) } : {}),
    ...number('bitrateKbps'),
    ...number('fps'),
    ...number('gop'),
    ...number('quality'),
    ...(fields.has('hardware') ? { hardware: fields.oneOf('hardware', HARDWARE) } : {}),
  };
}
