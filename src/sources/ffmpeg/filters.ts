import { type AskedPicture, fpsOf, refuse, shorten, sideOf } from './asked.ts';
import { isSideways, mirror, rotate } from './turn.ts';

/** Filters that can be said as a target, with the names of their values by position. */
const FILTERS: Readonly<Record<string, readonly string[]>> = {
  hflip: [],
  vflip: [],
  transpose: ['dir', 'passthrough'],
  scale: ['w', 'h', 'flags'],
  fps: ['fps'],
  format: ['pix_fmts'],
};
const LONG_NAMES: ReadonlyMap<string, string> = new Map([
  ['width', 'w'],
  ['height', 'h'],
  ['sws_flags', 'flags'],
]);

/**
 * Takes a chain of FFmpeg's filters (`transpose=2,vflip`, `scale=640:-1`) into what is asked of a picture.
 * @throws HearthcamError 400 that names the filter which can't be done here
 */
export function applyFilters(picture: AskedPicture, chain: string): void {
  for (const part of chain.split(',')) {
    const [name = '', args = ''] = split(part.trim(), '=');
    const places = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
    if (places === undefined) throw refused(part);
    applyFilter(picture, name, valuesOf(part, args, places), part);
  }
}

function applyFilter(picture: AskedPicture, name: string, values: ReadonlyMap<string, string>, part: string): void {
  switch (name) {
    case 'hflip':
      picture.turn = mirror(picture.turn, 'horizontal');
      return;
    case 'vflip':
      picture.turn = mirror(picture.turn, 'vertical');
      return;
    case 'transpose':
      transpose(picture, values.get('dir') ?? '0', part);
      return;
    case 'scale': {
      const width = sideOf('scale (width)', values.get('w') ?? '');
      const height = sideOf('scale (height)', values.get('h') ?? '');
      // A target scales first and turns then.
      const sideways = isSideways(picture.turn);
      const [wide, high] = sideways ? [height, width] : [width, height];
      if (wide !== null) picture.width = wide;
      if (high !== null) picture.height = high;
      return;
    }
    case 'fps':
      picture.fps = fpsOf('fps', values.get('fps') ?? '25');
      return;
    case 'format':
      // Every picture is made in 4:2:0 with 8 bits.
      if (!/^(?:yuvj?420p|nv12)$/.test(values.get('pix_fmts') ?? '')) throw refused(part);
      return;
    default:
      throw refused(part);
  }
}

/** FFmpeg's numbers and names: 0 and 3 mirror from top to bottom behind the turn. */
function transpose(picture: AskedPicture, direction: string, part: string): void {
  const numbers: Readonly<Record<string, readonly [degrees: number, flip: boolean]>> = {
    0: [270, true],
    cclock_flip: [270, true],
    1: [90, false],
    clock: [90, false],
    2: [270, false],
    cclock: [270, false],
    3: [90, true],
    clock_flip: [90, true],
  };
  const found = Object.hasOwn(numbers, direction) ? numbers[direction] : undefined;
  if (found === undefined) throw refused(part);
  const [degrees, flip] = found;
  const turned = rotate(picture.turn, degrees);
  picture.turn = flip ? mirror(turned, 'vertical') : turned;
}

/** `640:-1`, `w=640:h=-1`. */
function valuesOf(part: string, args: string, places: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  if (args === '') return values;
  for (const [index, one] of args.split(':').entries()) {
    const [name, value] = one.includes('=') ? split(one, '=') : [places[index] ?? '', one];
    const known = LONG_NAMES.get(name) ?? name;
    if (!places.includes(known)) throw refused(part);
    values.set(known, value);
  }
  return values;
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}

function refused(part: string): Error {
  return refuse(
    `the filter "${shorten(part)}" can't be done here`,
    'what can: hflip, vflip, transpose, scale=<width>:<height>, fps',
  );
}
