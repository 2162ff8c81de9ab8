import { HearthcamError } from '../core/errors.ts';
import type { Hub } from '../core/hub.ts';
import { parseSourceSpec, type SourceSpec } from '../core/source.ts';

/** Schemes of sources that run programs or scripts, whether there is a module for them or not. */
const PROGRAMS: readonly string[] = ['exec', 'echo', 'expr'];
/** Sources that only connect to the address they name. */
const NETWORK: readonly string[] = [
  'rtsp',
  'rtsps',
  'rtspx',
  'http',
  'https',
  'httpx',
  'onvif',
  'webrtc',
  'rtmp',
  'rtmps',
  'tapo',
  'vigi',
];
/**
 * What Home Assistant adds for a camera that hangs upside down (compat.md 5.1). Any other white space could be made
 * into arguments of a program.
 */
const HOME_ASSISTANT_FILTERS: readonly string[] = ['-vf hflip', '-vf vflip', '-vf transpose=2,vflip'];

/**
 * Looks whether a source may be set over HTTP: nothing that runs a program or reads a file of this machine.
 * @throws HearthcamError 400 with go2rtc's words (compat.md 1.2)
 */
export function checkHttpSource(hub: Hub, text: string): void {
  const spec = parseSourceSpec(text);
  if (PROGRAMS.includes(spec.scheme)) throw insecure();
  if (hasSpace(spec)) {
    throw new HearthcamError('source.space', 'streams: source with spaces may be insecure', { status: 400 });
  }
  if (spec.scheme === '') {
    hub.require(spec.url);
    return;
  }
  const module = hub.moduleFor(spec);
  if (module.configOnly === true) throw insecure();
  if (NETWORK.includes(spec.scheme)) return;
  if (spec.scheme !== 'ffmpeg' || !isSafeInput(spec.url.slice('ffmpeg:'.length))) throw insecure();
}

/** `ffmpeg:` reads an address of the network or a stream of ours, never a file or a device. */
function isSafeInput(input: string): boolean {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(input)?.[1]?.toLowerCase();
  return scheme === undefined ? /^[^/?]+$/.test(input) : NETWORK.includes(scheme);
}

function hasSpace(spec: SourceSpec): boolean {
  if (!/\s/.test(spec.text)) return false;
  const raw = spec.params.get('raw') ?? [];
  const [url = '', ...parts] = spec.text.split('#');
  const others = parts.filter((part) => !part.startsWith('raw='));
  return (
    /\s/.test(url) || others.some((part) => /\s/.test(part)) || raw.some((one) => !HOME_ASSISTANT_FILTERS.includes(one))
  );
}

function insecure(): HearthcamError {
  return new HearthcamError('source.insecure', 'streams: source from insecure producer', {
    status: 400,
    hint: 'write it into the configuration file',
  });
}
