import { AVCOL_RANGE_JPEG, AVCOL_SPC_BT470BG, AVCOL_SPC_SMPTE170M } from 'node-av/constants';
import { Frame } from 'node-av/lib';
import { describeError } from '../../core/errors.ts';
import { isVideo, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { type CellPlace, mosaicPlaces } from '../../core/mosaic.ts';
import type { Pipeline, PipelineEvents, PipelineUnit } from '../pipeline.ts';
import type { MosaicOrder } from '../pipeline-protocol.ts';
import { JobError } from '../protocol.ts';
import { Canvas } from './canvas.ts';
import { DecodeStage } from './decode-stage.ts';
import { FilterChain } from './filter-chain.ts';
import { isOfKind, kindOf } from './shape-stage.ts';
import { softwareCodecs } from './software-codecs.ts';
import type { PictureKind, VideoCodecs } from './video-codecs.ts';
import { VideoOutput } from './video-output.ts';

/** So long the first picture waits for cameras that have none yet. */
const START_MS = 1_000;
/** A camera of a usual rate that gives nothing for so long is away. */
const STALE_MS = 2_000;
/** One with few pictures a second gets more time: so many of its usual distances, and at most so much. */
const STALE_PICTURES = 4;
const MAX_STALE_MS = 30_000;
const KEY_SECONDS = 2;
const OUT = 0;

/**
 * A mosaic: decodes its inputs as they come, and codes a picture of all of them at a steady rate by its own clock,
 * whatever the inputs do.
 */
export class Mosaic implements Disposable {
  readonly #canvas: Canvas;
  readonly #cells: readonly Cell[];
  readonly #output: VideoOutput;
  readonly #events: PipelineEvents;
  readonly #codecs: VideoCodecs;
  readonly #fps: number;
  readonly #startPts: number;
  readonly #startMs = performance.now();
  #next = 0;
  #begun = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(order: MosaicOrder, events: PipelineEvents, codecs: VideoCodecs = softwareCodecs) {
    const { width, height, fps, labels, bitrateKbps } = order.shape;
    this.#events = events;
    this.#codecs = codecs;
    this.#fps = fps;
    this.#startPts = order.startPts;
    this.#canvas = new Canvas(Math.floor(width / 2) * 2, Math.floor(height / 2) * 2);
    const places = mosaicPlaces(order.names.length, width, height);
    this.#cells = places.map((place, index) => new Cell(this.#canvas, place, order.names[index] ?? '', labels));
    const gop = Math.max(1, Math.round(KEY_SECONDS * fps));
    const rate = bitrateKbps === undefined ? {} : { bitrateKbps };
    const target = { kind: 'video', codec: 'h264', gop, ...rate } as const;
    this.#output = new VideoOutput(OUT, target, Number.NEGATIVE_INFINITY, codecs, events);
    this.#plan();
  }

  /** What decodes a stream for the cell; undefined when there is no such cell. */
  input(slot: number): Pipeline | undefined {
    const cell = this.#cells[slot];
    return cell === undefined ? undefined : new CellInput(cell, this.#codecs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#output[Symbol.dispose]();
    for (const cell of this.#cells) cell[Symbol.dispose]();
    this.#canvas[Symbol.dispose]();
  }

  #plan(): void {
    const dueMs = this.#startMs + (this.#next * 1000) / this.#fps;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, dueMs - performance.now()));
  }

  #tick(): void {
    const nowMs = performance.now();
    // A machine that is too slow leaves pictures out, their times stay true.
    const index = Math.max(this.#next, Math.floor(((nowMs - this.#startMs) * this.#fps) / 1000));
    this.#next = index + 1;
    this.#begun ||= nowMs - this.#startMs > START_MS || this.#cells.every((cell) => cell.hasPicture);
    if (this.#begun && !this.#make(index, nowMs)) return;
    this.#plan();
  }

  /** @returns false when it is over */
  #make(index: number, nowMs: number): boolean {
    const ticks = VIDEO_CLOCK_HZ / this.#fps;
    try {
      for (const cell of this.#cells) cell.paint(nowMs);
      const { frame, kind } = this.#canvas;
      this.#output.take(frame, kind, Math.round(this.#startPts + index * ticks), ticks, false);
      return true;
    } catch (error) {
      this.#events.failed(OUT, error instanceof JobError ? error.fault : 'request', describeError(error));
      return false;
    }
  }
}

/** Decodes one stream for a cell. */
class CellInput implements Pipeline {
  readonly #cell: Cell;
  readonly #decode: DecodeStage;

  constructor(cell: Cell, codecs: VideoCodecs) {
    this.#cell = cell;
    this.#decode = new DecodeStage(codecs, { picture: (frame) => cell.give(frame), note: () => {} });
  }

  get damaged(): number {
    return this.#decode.damaged;
  }

  push(unit: PipelineUnit): void {
    if (isVideo(unit.format)) this.#decode.push(unit, unit.format);
  }

  addOutput(): void {
    throw new JobError('request', 'a cell of a mosaic has no outputs');
  }

  removeOutput(): void {}
  forceKey(): void {}

  [Symbol.dispose](): void {
    this.#decode[Symbol.dispose]();
    this.#cell.leave();
  }
}

/** A part of the mosaic: the newest picture of a camera, or its name while it is away. */
class Cell implements Disposable {
  readonly #canvas: Canvas;
  readonly #place: CellPlace;
  readonly #name: string;
  readonly #labelled: boolean;
  /** The newest picture, by reference; scaled only when the mosaic is due. */
  readonly #newest = new Frame();
  #fresh = false;
  #seenMs = Number.NEGATIVE_INFINITY;
  #gapMs = 0;
  #shows: 'nothing' | 'name' | 'picture' | 'dimmed' = 'nothing';
  #scaler: { readonly of: PictureKind; readonly chain: FilterChain; readonly place: CellPlace } | undefined;
  #left = false;

  constructor(canvas: Canvas, place: CellPlace, name: string, labelled: boolean) {
    this.#canvas = canvas;
    this.#place = place;
    this.#name = name;
    this.#labelled = labelled;
    this.#newest.alloc();
  }

  get hasPicture(): boolean {
    return this.#fresh || this.#shows === 'picture';
  }

  give(frame: Frame): void {
    this.#newest.unref();
    this.#fresh = this.#newest.ref(frame) >= 0;
    const nowMs = performance.now();
    const gapMs = nowMs - this.#seenMs;
    if (gapMs < MAX_STALE_MS) this.#gapMs = Math.max(gapMs, this.#gapMs * 0.9);
    this.#seenMs = nowMs;
    this.#left = false;
  }

  /** The stream has ended. */
  leave(): void {
    this.#left = true;
  }

  paint(nowMs: number): void {
    if (this.#fresh) this.#paintPicture();
    else if (this.#shows === 'nothing') this.#paintName();
    else if (this.#shows === 'picture' && this.#isAway(nowMs)) this.#paintDimmed();
  }

  [Symbol.dispose](): void {
    this.#newest.free();
    this.#scaler?.chain[Symbol.dispose]();
  }

  #isAway(nowMs: number): boolean {
    const patienceMs = Math.min(MAX_STALE_MS, Math.max(STALE_MS, STALE_PICTURES * this.#gapMs));
    return this.#left || nowMs - this.#seenMs > patienceMs;
  }

  #paintPicture(): void {
    const frame = this.#newest;
    this.#fresh = false;
    if (this.#scaler === undefined || !isOfKind(frame, this.#scaler.of)) {
      this.#scaler?.chain[Symbol.dispose]();
      this.#scaler = undefined;
      const of = kindOf(frame);
      const place = fitted(of, this.#place);
      this.#scaler = { of, place, chain: new FilterChain(of, scaling(of, place)) };
      this.#canvas.fill(this.#place, 'black');
    }
    const { chain, place } = this.#scaler;
    this.#canvas.draw(chain.apply(frame), place);
    frame.unref();
    if (this.#labelled) this.#canvas.label(this.#name, place, 'corner');
    this.#shows = 'picture';
  }

  #paintName(): void {
    const { x, y, width, height } = this.#place;
    this.#canvas.fill({ x: x + 2, y: y + 2, width: width - 4, height: height - 4 }, 'grey');
    this.#canvas.label(this.#name, this.#place, 'middle');
    this.#shows = 'name';
  }

  #paintDimmed(): void {
    this.#canvas.dim(this.#place);
    this.#canvas.label(this.#name, this.#place, 'middle');
    this.#shows = 'dimmed';
  }
}

/** The largest picture of the same aspect ratio that fits, in the middle. */
function fitted({ width, height, aspect }: PictureKind, cell: CellPlace): CellPlace {
  const ratio = (width * aspect.num) / (height * aspect.den);
  const wide = Math.min(cell.width, cell.height * ratio);
  const size = { width: evenSide(wide, cell.width), height: evenSide(wide / ratio, cell.height) };
  return {
    x: cell.x + Math.floor((cell.width - size.width) / 4) * 2,
    y: cell.y + Math.floor((cell.height - size.height) / 4) * 2,
    ...size,
  };
}

function evenSide(pixels: number, most: number): number {
  return Math.min(most, Math.max(2, Math.round(pixels / 2) * 2));
}

/**
 * Colours of standard definition are converted where a camera says so. Most say nothing, and convert as for high
 * definition whatever the size.
 */
function scaling(of: PictureKind, { width, height }: CellPlace): [filter: string, args: string][] {
  const standard = of.space === AVCOL_SPC_BT470BG || of.space === AVCOL_SPC_SMPTE170M;
  const matrix = standard && of.range !== AVCOL_RANGE_JPEG ? ':out_color_matrix=bt709' : '';
  return [
    ['scale', `w=${width}:h=${height}:flags=bilinear:out_range=limited${matrix}`],
    ['format', 'pix_fmts=yuv420p'],
  ];
}
