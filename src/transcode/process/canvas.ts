import {
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_UNSPECIFIED,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_UNSPECIFIED,
} from 'node-av/constants';
import { FFmpegError, Frame } from 'node-av/lib';
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphRows } from '../../core/bitmap-font.ts';
import type { CellPlace } from '../../core/mosaic.ts';
import type { PictureKind } from './video-codecs.ts';

/** Levels of limited range (ITU-R BT.709). */
const BLACK = 16;
const GREY = 58;
const WHITE = 225;
const NEUTRAL = 128;
/** What is left of the brightness and of the colours. */
const DIMMED = 0.35;

/** A picture that is drawn into: 4:2:0 with 8 bits. All places and sizes are even. */
export class Canvas implements Disposable {
  readonly frame = new Frame();
  readonly kind: PictureKind;

  /** @throws Error when there is no memory for it */
  constructor(width: number, height: number) {
    const { frame } = this;
    frame.alloc();
    frame.format = AV_PIX_FMT_YUV420P;
    frame.width = width;
    frame.height = height;
    FFmpegError.throwIfError(frame.getBuffer(), 'picture');
    this.kind = {
      width,
      height,
      pixelFormat: AV_PIX_FMT_YUV420P,
      range: AVCOL_RANGE_MPEG,
      space: AVCOL_SPC_BT709,
      primaries: AVCOL_PRI_UNSPECIFIED,
      transfer: AVCOL_TRC_UNSPECIFIED,
      aspect: { num: 1, den: 1 },
    };
    this.fill({ x: 0, y: 0, width, height }, 'black');
  }

  [Symbol.dispose](): void {
    this.frame.free();
  }

  fill(place: CellPlace, shade: 'black' | 'grey'): void {
    this.#eachRow(place, (row, from, to, plane) =>
      row.fill(plane > 0 ? NEUTRAL : shade === 'black' ? BLACK : GREY, from, to),
    );
  }

  /** The picture, of the same size as the place, and 4:2:0. */
  draw(picture: Frame, place: CellPlace): void {
    const from = picture.data;
    if (from === null) throw new Error('a picture without data');
    const strides = picture.linesize;
    const rows = [0, 0, 0];
    this.#eachRow(place, (row, start, end, plane) => {
      const at = (rows[plane] ?? 0) * (strides[plane] ?? 0);
      rows[plane] = (rows[plane] ?? 0) + 1;
      from[plane]?.copy(row, start, at, at + end - start);
    });
  }

  dim(place: CellPlace): void {
    this.#eachRow(place, (row, from, to, plane) => {
      const dark = plane === 0 ? BLACK : NEUTRAL;
      for (let at = from; at < to; at++) row[at] = Math.round(dark + ((row[at] ?? dark) - dark) * DIMMED);
    });
  }

  /** A name in a cell: at its lower left on a dark ground, or in its middle. */
  label(text: string, cell: CellPlace, where: 'corner' | 'middle'): void {
    const glyphs = glyphsOf(text);
    if (glyphs.length === 0) return;
    const wanted = Math.max(1, Math.round(cell.height / (where === 'corner' ? 150 : 90)));
    const fits = Math.floor((cell.width - 8) / (glyphs.length * (GLYPH_WIDTH + 1)));
    const scale = Math.max(1, Math.min(wanted, fits));
    const shown = glyphs.slice(0, Math.max(1, Math.floor((cell.width - 8) / (scale * (GLYPH_WIDTH + 1)))));
    // Two rows above the letters are for dots.
    const width = roundUp(shown.length * (GLYPH_WIDTH + 1) * scale + scale);
    const height = roundUp((GLYPH_HEIGHT + 4) * scale);
    if (width > cell.width || height > cell.height) return;
    const place =
      where === 'corner'
        ? { x: cell.x, y: cell.y + cell.height - height, width, height }
        : { x: cell.x + half(cell.width - width), y: cell.y + half(cell.height - height), width, height };
    if (where === 'corner') this.dim(place);
    for (const [index, glyph] of shown.entries()) {
      const left = place.x + scale + index * (GLYPH_WIDTH + 1) * scale;
      for (const [row, bits] of glyph.rows.entries()) this.#bits(bits, left, place.y + (row + 3) * scale, scale);
      if (glyph.dots) this.#bits(0b01010, left, place.y + scale, scale);
    }
  }

  /** A row of a letter: five bits, the highest on the left, each a square. */
  #bits(bits: number, left: number, top: number, scale: number): void {
    const luma = this.frame.data?.[0];
    const stride = this.frame.linesize[0] ?? 0;
    if (luma === undefined) return;
    for (let column = 0; column < GLYPH_WIDTH; column++) {
      if ((bits & (1 << (GLYPH_WIDTH - 1 - column))) === 0) continue;
      for (let line = 0; line < scale; line++) {
        const at = (top + line) * stride + left + column * scale;
        luma.fill(WHITE, at, at + scale);
      }
    }
  }

  #eachRow(place: CellPlace, work: (plane: Buffer, from: number, to: number, index: number) => void): void {
    const planes = this.frame.data;
    if (planes === null) throw new Error('a canvas without data');
    const strides = this.frame.linesize;
    for (let index = 0; index < 3; index++) {
      const plane = planes[index];
      const stride = strides[index] ?? 0;
      if (plane === undefined) continue;
      const shift = index === 0 ? 1 : 2;
      for (let row = 0; row < place.height / shift; row++) {
        const from = (place.y / shift + row) * stride + place.x / shift;
        work(plane, from, from + place.width / shift, index);
      }
    }
  }
}

interface Glyph {
  readonly rows: readonly number[];
  /** Two dots above: Ä, Ö, Ü. */
  readonly dots: boolean;
}

const SPELLED: Readonly<Record<string, string>> = { ß: 'SS', Ø: 'O', Æ: 'AE', Œ: 'OE', Ł: 'L', Đ: 'D', Þ: 'TH' };

/** Letters as far as the font has them; accents other than dots are left out. */
function glyphsOf(text: string): Glyph[] {
  const plain = [...text].map((one) => SPELLED[one] ?? SPELLED[one.toUpperCase()] ?? one).join('');
  const glyphs: Glyph[] = [];
  for (const character of plain.normalize('NFD')) {
    const last = glyphs.at(-1);
    if (character === '\u0308' && last !== undefined) glyphs[glyphs.length - 1] = { rows: last.rows, dots: true };
    else if (!/\p{M}/u.test(character)) {
      const rows = glyphRows(character);
      glyphs.push({ rows: rows.length > 0 || character === ' ' ? rows : glyphRows('?'), dots: false });
    }
  }
  return glyphs;
}

function half(pixels: number): number {
  return Math.floor(pixels / 4) * 2;
}

function roundUp(pixels: number): number {
  return Math.ceil(pixels / 2) * 2;
}
