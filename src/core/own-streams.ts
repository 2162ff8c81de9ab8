import type { Hub } from './hub.ts';
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

/** The name of the stream that a source takes its media from, as far as its text tells; null for a camera. */
export function inputStream(spec: SourceSpec, hub: Hub, ownPorts: readonly number[]): string | null {
  // With a query as go2rtc allows it: `ffmpeg:cam?video=copy`.
  if (spec.scheme === '') return hub.get(spec.url) === undefined ? (spec.url.split('?')[0] ?? '') : spec.url;
  if (spec.scheme === 'ffmpeg') return inputStream(parseSourceSpec(spec.url.slice('ffmpeg:'.length)), hub, ownPorts);
  return ownStream(spec.url, ownPorts, hub);
}

/** Whether what `from` shows comes, through any chain of streams, from `to`. */
export function feedsFrom(hub: Hub, from: string, to: string, ownPorts: readonly number[]): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (name === to) return true;
    if (seen.has(name)) continue;
    seen.add(name);
    for (const producer of hub.get(name)?.producers ?? []) {
      const input = inputStream(producer.spec, hub, ownPorts);
      if (input !== null) open.push(input);
    }
  }
  return false;
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
