import { WireError } from '../../core/errors.ts';
import { parseH264Sps } from '../h264/sps.ts';
import { parseH265Sps } from '../h265/sps.ts';
import { BitReader } from './bits.ts';

export type SetKind = 'vps' | 'sps' | 'pps';

/** Real ones have 10…200 bytes. */
const MAX_SET_BYTES = 4096;

/** The parameter sets of one track by their id; the newest of each id counts. */
export class ParameterSets {
  readonly #codec: 'h264' | 'h265';
  readonly #byKind = { vps: new Map<number, Buffer>(), sps: new Map<number, Buffer>(), pps: new Map<number, Buffer>() };
  /** Set when bytes differ from those known before; cleared by the reader. */
  changed = false;

  constructor(codec: 'h264' | 'h265') {
    this.#codec = codec;
  }

  get complete(): boolean {
    const { vps, sps, pps } = this.#byKind;
    return sps.size > 0 && pps.size > 0 && (this.#codec === 'h264' || vps.size > 0);
  }

  /** Copies the bytes when they are new. @throws WireError when the set can't be read; the old one stays in force. */
  add(kind: SetKind, nal: Buffer): void {
    const known = this.#byKind[kind];
    for (const set of known.values()) if (set.equals(nal)) return;
    if (nal.length > MAX_SET_BYTES) throw new WireError('nal.sets', `a parameter set of ${nal.length} bytes`, 0);
    const id = this.#idOf(kind, nal);
    // Put at the end: the newest SPS is the one whose size counts.
    known.delete(id);
    known.set(id, Buffer.from(nal));
    this.changed = true;
  }

  lists(): { vps: Buffer[]; sps: Buffer[]; pps: Buffer[] } {
    const { vps, sps, pps } = this.#byKind;
    return { vps: [...vps.values()], sps: [...sps.values()], pps: [...pps.values()] };
  }

  #idOf(kind: SetKind, nal: Buffer): number {
    if (kind === 'sps') return this.#codec === 'h264' ? parseH264Sps(nal).id : parseH265Sps(nal).id;
    const bits = new BitReader(nal, `${this.#codec === 'h264' ? 'H.264' : 'H.265'} ${kind.toUpperCase()}`);
    bits.skip(this.#codec === 'h264' ? 8 : 16);
    const id = kind === 'vps' ? bits.u(4) : bits.ue();
    const limit = this.#codec === 'h264' ? 255 : 63;
    if (id > limit) throw new WireError('nal.sets', `${kind.toUpperCase()} id ${id} is above ${limit}`, 1);
    return id;
  }
}
