import { HearthcamError } from './errors.ts';
import type { Hub } from './hub.ts';
import { mosaicNames } from './mosaic.ts';
import { parseSourceSpec, type SourceModule, type SourceSpec, silentCall } from './source.ts';

const LOCAL_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]', '0.0.0.0']);

/**
 * The name of the stream of ours that an address of our own RTSP server means; null when it is somebody else's.
 * Home Assistant and Frigate write such addresses; taken as the stream itself they cost no connection.
 */
export function ownStreamName(url: string, ownPorts: readonly number[]): string | null {
  if (!/^rtsp:\/\//i.test(url) || !URL.canParse(url)) return null;
  const { hostname, port, pathname } = new URL(url);
  if (!LOCAL_HOSTS.has(hostname) || !ownPorts.includes(port === '' ? 554 : Number(port))) return null;
  const path = pathname.replace(/^\//, '').replace(/\/$/, '');
  return path === '' ? null : path;
}

/** As `ownStreamName`, when there is such a stream: names with `%` in them are taken as they stand, or decoded. */
function ownStream(url: string, ownPorts: readonly number[], hub: Hub): string | null {
  const name = ownStreamName(url, ownPorts);
  if (name === null) return null;
  return [name, decode(name)].find((one) => hub.get(one) !== undefined) ?? null;
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Endings of files that FFmpeg reads; without a folder nothing else tells a file from the name of a stream. */
const FILE_ENDING =
  /\.(?:3gp|aac|ac3|asf|avi|bmp|flac|flv|gif|h26[45]|hevc|jpe?g|m2ts|m4[av]|mjpe?g|mka|mkv|mov|mp[234]|mpe?g|mts|mxf|oga|ogg|ogv|opus|png|ts|vob|wav|webm|webp|wmv|y4m)$/i;

/** Whether the input of an `ffmpeg:` source means a file of this machine. */
export function isMediaFile(url: string): boolean {
  if (/^file:/i.test(url)) return true;
  if (/^[a-z]:[\\/]/i.test(url)) return true;
  if (/^[a-z][a-z0-9+.-]*:/i.test(url)) return false;
  return /[/\\]/.test(url) || FILE_ENDING.test(url);
}

/** Whether an `ffmpeg:` source's input means the stream of this name, which need not exist yet. */
export function meansStream(input: SourceSpec, name: string, ownPorts: readonly number[]): boolean {
  if (input.scheme === '') return input.url === name || input.url.split('?')[0] === name;
  const own = ownStreamName(input.url, ownPorts);
  return own !== null && (own === name || decode(own) === name);
}

/** The name of the stream that a source takes its media from, as far as its text tells; null for a camera. */
export function inputStream(spec: SourceSpec, hub: Hub, ownPorts: readonly number[]): string | null {
  // With a query as go2rtc allows it: `ffmpeg:cam?video=copy`.
  if (spec.scheme === '') return hub.get(spec.url) === undefined ? (spec.url.split('?')[0] ?? '') : spec.url;
  if (spec.scheme === 'ffmpeg') {
    const input = parseSourceSpec(spec.url.slice('ffmpeg:'.length));
    return isMediaFile(input.url) && hub.get(input.url) === undefined ? null : inputStream(input, hub, ownPorts);
  }
  return ownStream(spec.url, ownPorts, hub);
}

/** As `inputStream`, for sources that may have several. A mosaic of all cameras has none in particular. */
export function inputStreams(spec: SourceSpec, hub: Hub, ownPorts: readonly number[]): readonly string[] {
  if (spec.scheme === 'mosaic') {
    const names = mosaicNames(spec);
    return names === 'all' ? [] : names;
  }
  const input = inputStream(spec, hub, ownPorts);
  return input === null ? [] : [input];
}

/** A stream and all that it comes from, through any chain of streams. */
function* origins(hub: Hub, from: string, ownPorts: readonly number[]): Generator<string> {
  const seen = new Set<string>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    yield name;
    for (const producer of hub.get(name)?.producers ?? []) open.push(...inputStreams(producer.spec, hub, ownPorts));
  }
}

/** Whether what `from` shows comes, through any chain of streams, from `to`. */
export function feedsFrom(hub: Hub, from: string, to: string, ownPorts: readonly number[]): boolean {
  for (const name of origins(hub, from, ownPorts)) if (name === to) return true;
  return false;
}

/** Whether what the stream shows comes, through any chain of streams, from a mosaic. */
export function showsMosaic(hub: Hub, name: string, ownPorts: readonly number[]): boolean {
  for (const one of origins(hub, name, ownPorts)) {
    if (hub.get(one)?.producers.some((producer) => producer.spec.scheme === 'mosaic') === true) return true;
  }
  return false;
}

/** For a stream that comes, by way of `through`, from itself. */
export function loopError(streamName: string, through: string): HearthcamError {
  return new HearthcamError('source.loop', `stream "${streamName}" would be fed by itself through "${through}"`, {
    status: 400,
    permanent: true,
    hint: 'give one of the streams in the circle a camera as its source',
  });
}

/** An RTSP source whose addresses of our own server are taken as the streams themselves. */
export function withOwnStreams(
  rtsp: SourceModule,
  own: SourceModule,
  getHub: () => Hub,
  ownPorts: () => readonly number[],
): SourceModule {
  return {
    name: rtsp.name,
    schemes: rtsp.schemes,
    configOnly: rtsp.configOnly ?? false,
    validate: (spec) => rtsp.validate?.(spec),
    run: (request, sink) => {
      const name = ownStream(request.spec.url, ownPorts(), getHub());
      if (name === null) return rtsp.run(request, sink);
      const spec = { ...request.spec, scheme: '', url: name };
      return own.run({ ...request, spec }, sink);
    },
    async talk(request) {
      const name = ownStream(request.spec.url, ownPorts(), getHub());
      const call =
        name === null ? rtsp.talk?.(request) : own.talk?.({ ...request, spec: { ...request.spec, url: name } });
      return (await call) ?? silentCall();
    },
  };
}
