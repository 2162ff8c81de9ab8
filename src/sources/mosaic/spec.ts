import { HearthcamError } from '../../core/errors.ts';
import { type MosaicShape, mosaicNames } from '../../core/mosaic.ts';
import { type SourceSpec, specParam } from '../../core/source.ts';

/** `mosaic:door,garden#width=1280#height=720#fps=10#labels`, read. */
export interface MosaicSpec {
  readonly names: readonly string[] | 'all';
  readonly shape: MosaicShape;
}

const DEFAULTS = { width: 1280, height: 720, fps: 10 } as const;
const LIMITS = { width: [160, 3840], height: [90, 2160], fps: [1, 30], bitrate: [50, 50_000] } as const;
/** `media` is read by the stream, `query` by clients. */
const KNOWN: readonly string[] = ['width', 'height', 'fps', 'labels', 'bitrate', 'media', 'query'];

/** @throws HearthcamError 400 that says what can't be */
export function parseMosaicSpec(spec: SourceSpec): MosaicSpec {
  const names = mosaicNames(spec);
  for (const key of spec.params.keys()) {
    if (!KNOWN.includes(key))
      throw wrong(`#${key} means nothing to a mosaic`, `it knows #${KNOWN.slice(0, 5).join(' #')}`);
  }
  const bitrateKbps = whole(spec, 'bitrate');
  return {
    names,
    shape: {
      width: whole(spec, 'width') ?? DEFAULTS.width,
      height: whole(spec, 'height') ?? DEFAULTS.height,
      fps: whole(spec, 'fps') ?? DEFAULTS.fps,
      labels: flag(spec, 'labels'),
      ...(bitrateKbps === undefined ? {} : { bitrateKbps }),
    },
  };
}

function whole(spec: SourceSpec, key: keyof typeof LIMITS): number | undefined {
  const text = specParam(spec, key);
  if (text === undefined || text === '') return undefined;
  const [min, max] = LIMITS[key];
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
  throw wrong(`#${key}=${text.slice(0, 40)} must be a whole number from ${min} to ${max}`);
}

function flag(spec: SourceSpec, key: string): boolean {
  const text = specParam(spec, key);
  if (text === undefined) return false;
  if (['', '1', 'true', 'yes'].includes(text)) return true;
  if (['0', 'false', 'no'].includes(text)) return false;
  throw wrong(`#${key}=${text.slice(0, 40)} must be there or not`);
}

function wrong(problem: string, hint?: string): HearthcamError {
  return new HearthcamError('mosaic.spec', `mosaic: ${problem}`, {
    status: 400,
    ...(hint === undefined ? {} : { hint }),
  });
}
