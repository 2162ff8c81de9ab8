import { HearthcamError } from './errors.ts';
import type { Hub } from './hub.ts';
import { mosaicNames } from './mosaic.ts';
import { isMediaFile } from './own-streams.ts';
import { parseSourceSpec, type SourceSpec } from './source.ts';

/** Schemes that run programs or scripts (go2rtc's list; those of our modules say `configOnly`). */
const PROGRAMS: ReadonlySet<string> = new Set(['exec', 'echo', 'expr']);
/** What only opens a network connection to a camera. `x`: certificate not checked. */
const NETWORK: ReadonlySet<string> = new Set(['rtsp', 'rtsps', 'rtspx', 'http', 'https', 'httpx']);
/**
 * The filters with which Home Assistant turns a picture (compatibility.md 5.1): the only text with a space that is let
 * in.
 */
const ORIENTATION = /^-vf (?:hflip|vflip|transpose=[0-3])(?:,(?:hflip|vflip|transpose=[0-3]))*$/;

/**
 * Whether a source may be added over HTTP, where anybody in the house might ask: network cameras, streams that exist,
 * and `ffmpeg:` of these.
 * @param newNames streams that the same request makes (Home Assistant puts `ffmpeg:ID#audio=opus` into ID itself)
 * @throws HearthcamError 400 with the texts that go2rtc's clients know
 */
export function allowedOverHttp(
  source: SourceSpec | string,
  hub: Pick<Hub, 'get' | 'schemes' | 'moduleFor'>,
  newNames: readonly string[] = [],
): void {
  const spec = typeof source === 'string' ? parseSourceSpec(source) : source;
  const { scheme } = spec;
  if (PROGRAMS.has(scheme)) throw insecure();
  if (/\s/.test(withoutOrientation(spec))) throw spaces();
  const exists = (name: string): boolean => hub.get(name) !== undefined || newNames.includes(name);
  if (scheme === '') {
    if (!exists(spec.url)) throw unsupported();
    return;
  }
  if (!hub.schemes.includes(scheme)) throw unsupported();
  if (hub.moduleFor(spec).configOnly === true) throw insecure();
  if (NETWORK.has(scheme)) return;
  if (scheme === 'mosaic') {
    const names = mosaicNames(spec);
    if (names !== 'all' && !names.every(exists)) throw unsupported();
    return;
  }
  if (scheme !== 'ffmpeg') throw insecure();
  const input = parseSourceSpec(spec.url.slice('ffmpeg:'.length));
  if (NETWORK.has(input.scheme)) {
    if (!hub.schemes.includes(input.scheme)) throw unsupported();
    return;
  }
  // Files and devices of the server are for its configuration alone.
  if (input.scheme !== '' || isMediaFile(input.url) || /^(?:device|virtual|tts)\?/.test(input.url)) throw insecure();
  if (!exists(input.url) && !exists(input.url.split('?')[0] ?? '')) throw unsupported();
}

/** Whether a source runs programs or scripts, or holds one that does (`ffmpeg:exec:…`). */
export function namesProgram(source: string): boolean {
  for (let rest = source.trim(); ; ) {
    const { scheme } = parseSourceSpec(rest);
    if (scheme === '') return false;
    if (PROGRAMS.has(scheme)) return true;
    rest = rest.slice(scheme.length + 1).trim();
  }
}

/** For a `src` that a request names only to be played: @throws HearthcamError 400 when it would run a program. */
export function refuseProgram(source: string): void {
  if (namesProgram(source)) throw insecure();
}

/** The text without the `#raw=` values that are on the list. */
function withoutOrientation(spec: SourceSpec): string {
  if (spec.scheme !== 'ffmpeg') return spec.text;
  const [url = '', ...parts] = spec.text.split('#');
  const kept = parts.filter((part) => !(part.startsWith('raw=') && ORIENTATION.test(part.slice('raw='.length))));
  return [url, ...kept].join('#');
}

function insecure(): HearthcamError {
  return new HearthcamError('source.insecure', 'streams: source from insecure producer', { status: 400 });
}

function spaces(): HearthcamError {
  return new HearthcamError('source.insecure', 'streams: source with spaces may be insecure', { status: 400 });
}

function unsupported(): HearthcamError {
  return new HearthcamError('source.unsupported', 'streams: source not supported', { status: 400 });
}
