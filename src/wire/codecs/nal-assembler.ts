import { WireError } from '../../core/errors.ts';
import type { VideoFormat } from '../../core/media.ts';
import { makeH264Format } from '../h264/format.ts';
import { H264_NAL, hasExactRecoveryPoint, readH264SliceStart } from '../h264/slice.ts';
import { makeH265Format } from '../h265/format.ts';
import { findStartCode, forEachAnnexBNal, forEachNal } from './nal.ts';
import { ParameterSets, type SetKind } from './parameter-sets.ts';
import { ReorderLearner } from './reorder.ts';
import { Slab } from './slab.ts';

export interface NalUnit {
  readonly data: Buffer;
  readonly key: boolean;
  readonly format: VideoFormat;
}

/** Trouble in what came in, for counters and a limited log line. The stream goes on. */
export interface MediaProblem {
  /** e.g. `h264.sps`, `rtp.damaged`. */
  readonly code: string;
  readonly message: string;
}
export type OnProblem = (problem: MediaProblem) => void;

const CHUNK_BYTES = 256 * 1024;

/**
 * Makes access units (see `AccessUnit.data`) of H.264 or H.265 from NAL units, whatever they came in: takes parameter
 * sets and access unit delimiters out, follows the format, finds key frames. Everything else is kept byte for byte,
 * also bytes behind a slice's trailing bits.
 */
export class NalAssembler {
  readonly codec: 'h264' | 'h265';
  readonly #onProblem: OnProblem;
  readonly #sets: ParameterSets;
  readonly #slab = new Slab(CHUNK_BYTES);
  readonly #reorder = new ReorderLearner();
  #format: VideoFormat | null = null;
  #nalAt = -1;
  #picture = false;
  #midway = false;
  #idr = false;
  #intra = true;
  #recoveryPoint = false;
  #setsSeen = false;

  constructor(codec: 'h264' | 'h265', onProblem: OnProblem) {
    this.codec = codec;
    this.#onProblem = onProblem;
    this.#sets = new ParameterSets(codec);
  }

  /** The format in force; null until all parameter sets were seen. */
  get format(): VideoFormat | null {
    this.#refreshFormat();
    return this.#format;
  }
  /** Whether the unit under construction has a slice. */
  get hasPicture(): boolean {
    return this.#picture;
  }
  /** Whether its first slice is not the first of its picture: the beginning was lost, or the unit was cut too early. */
  get startsMidway(): boolean {
    return this.#midway;
  }
  /** Whether anything was added since the last unit. */
  get isEmpty(): boolean {
    return this.#slab.length === 0 && !this.#setsSeen;
  }

  /** Adds one NAL unit without start code or length. Parameter sets may come here too, before any unit. */
  add(data: Buffer, start = 0, end = data.length): void {
    this.beginNal();
    this.append(data, start, end);
    this.endNal();
  }

  beginNal(): void {
    if (this.#nalAt >= 0) this.endNal();
    this.#nalAt = this.#slab.reserveU32();
  }
  append(data: Buffer, start: number, end: number): void {
    this.#slab.append(data, start, end);
  }
  appendByte(value: number): void {
    this.#slab.appendByte(value);
  }
  /** Forgets the NAL unit that has been begun. */
  dropNal(): void {
    if (this.#nalAt >= 0) this.#slab.truncate(this.#nalAt);
    this.#nalAt = -1;
  }

  endNal(): void {
    const at = this.#nalAt;
    if (at < 0) return;
    this.#nalAt = -1;
    const size = this.#slab.length - at - 4;
    const headBytes = this.codec === 'h264' ? 1 : 2;
    if (size < headBytes) {
      this.#slab.truncate(at);
      return;
    }
    this.#slab.patchU32(at, size);
    if (this.codec === 'h264') this.#endH264(at, size);
    else this.#endH265(at, size);
  }

  /**
   * Ends the unit.
   * @param ticks presentation time, where decoding times are not known and reordering has to be learnt from it
   * @returns null when there is no picture in it or no format yet (then what was gathered is dropped)
   */
  take(ticks?: number): NalUnit | null {
    this.endNal();
    if (!this.#picture) {
      this.reset();
      return null;
    }
    const grown = ticks !== undefined && this.#reorder.add(ticks);
    if (grown && this.#format !== null && this.#format.reorderDepth < this.#reorder.depth) this.#sets.changed = true;
    this.#refreshFormat();
    if (this.#format === null) {
      this.reset();
      return null;
    }
    // An encoder with intra refresh or open GOPs sends no IDR after the first; a picture of I slices alone that is
    // announced by a recovery point or by repeated parameter sets is where decoders start instead.
    const key = this.#idr || (this.codec === 'h264' && this.#intra && (this.#recoveryPoint || this.#setsSeen));
    const data = this.#slab.take();
    this.#clear();
    return { data, key, format: this.#format };
  }

  /** Drops the unit under construction; parameter sets stay known. */
  reset(): void {
    this.#slab.truncate(0);
    this.#nalAt = -1;
    this.#clear();
  }

  #clear(): void {
    this.#picture = false;
    this.#midway = false;
    this.#idr = false;
    this.#intra = true;
    this.#recoveryPoint = false;
    this.#setsSeen = false;
  }

  #endH264(at: number, size: number): void {
    const type = this.#slab.byte(at + 4) & 0x1f;
    switch (type) {
      case H264_NAL.sps:
        this.#takeSet('sps', at);
        return;
      case H264_NAL.pps:
        this.#takeSet('pps', at);
        return;
      case H264_NAL.aud:
        this.#slab.truncate(at);
        return;
      case H264_NAL.sei:
        if (this.#splitJoined(at)) return;
        if (hasExactRecoveryPoint(this.#slab.view(at + 4))) this.#recoveryPoint = true;
        return;
      case H264_NAL.idr:
      case H264_NAL.slice:
      case H264_NAL.partitionA: {
        const head = readH264SliceStart(this.#slab.view(at + 4, at + 4 + Math.min(size, 24)));
        if (!this.#picture) this.#midway = head !== null && head.firstMb !== 0;
        this.#picture = true;
        if (type === H264_NAL.idr) this.#idr = true;
        if (head?.intra !== true) this.#intra = false;
        return;
      }
      default:
    }
  }

  #endH265(at: number, size: number): void {
    const type = (this.#slab.byte(at + 4) >> 1) & 0x3f;
    if (type < 32) {
      if (!this.#picture) this.#midway = size > 2 && (this.#slab.byte(at + 6) & 0x80) === 0;
      this.#picture = true;
      // IRAP pictures (ISO/IEC 23008-2 table 7-1): BLA, IDR, CRA and the two reserved types.
      if (type >= 16 && type <= 23) this.#idr = true;
      return;
    }
    switch (type) {
      case 32:
        this.#takeSet('vps', at);
        return;
      case 33:
        this.#takeSet('sps', at);
        return;
      case 34:
        this.#takeSet('pps', at);
        return;
      case 35:
        this.#slab.truncate(at);
        return;
      case 39:
        this.#splitJoined(at);
        return;
      default:
    }
  }

  #takeSet(kind: SetKind, at: number): void {
    if (this.#splitJoined(at)) return;
    this.#setsSeen = true;
    try {
      this.#sets.add(kind, this.#slab.view(at + 4));
    } catch (error) {
      this.#problem(error);
    }
    this.#slab.truncate(at);
  }

  /**
   * Several cheap cameras send SPS, PPS, SEI and the picture as one NAL unit with start codes in between (reported as
   * AlexxIT/WebRTC#391). No start code can occur inside a proper NAL unit (§7.4.1), so this is safe to take apart.
   */
  #splitJoined(at: number): boolean {
    const view = this.#slab.view(at + 4);
    if (findStartCode(view, 0, view.length) < 0) return false;
    const joined = Buffer.concat([Buffer.from([0, 0, 1]), view]);
    this.#slab.truncate(at);
    forEachAnnexBNal(joined, (data, start, end) => this.add(data, start, end));
    return true;
  }

  #refreshFormat(): void {
    if (!this.#sets.changed || !this.#sets.complete) return;
    this.#sets.changed = false;
    try {
      const sets = this.#sets.lists();
      this.#format =
        this.codec === 'h264' ? makeH264Format(sets, this.#reorder.depth) : makeH265Format(sets, this.#reorder.depth);
    } catch (error) {
      this.#problem(error);
    }
  }

  #problem(error: unknown): void {
    if (!(error instanceof WireError)) throw error;
    this.#onProblem({ code: error.code, message: error.message });
  }
}

/** Adds all NAL units of a byte stream (MPEG-TS, files). */
export function addAnnexB(assembler: NalAssembler, data: Buffer): void {
  forEachAnnexBNal(data, (source, start, end) => assembler.add(source, start, end));
}

/** Adds all NAL units of a length-prefixed sample (FLV, MP4). @throws WireError when a length is wrong. */
export function addLengthPrefixed(assembler: NalAssembler, data: Buffer, lengthBytes: 1 | 2 | 3 | 4 = 4): void {
  forEachNal(data, (source, start, end) => assembler.add(source, start, end), lengthBytes);
}
