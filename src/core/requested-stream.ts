import type { AccessPolicy, Peer } from './contracts.ts';
import { HearthcamError } from './errors.ts';
import type { Hub } from './hub.ts';
import { parseSourceSpec } from './source.ts';
import { allowedOverHttp } from './source-policy.ts';
import type { Stream } from './stream.ts';

/**
 * The stream that `src` (and `name`) of a request mean: a stream's name, or a URL, which makes a stream of that URL
 * (called `name`, else as the URL itself) as go2rtc does (compatibility.md 1.4). As this lets whoever asks make the
 * server connect to any host, it needs the right to configure.
 * @throws HearthcamError 404 `stream not found`, 403 without the right, 400 for a URL that can't be a source.
 */
export function requestedStream(
  env: { readonly hub: Hub; readonly access: AccessPolicy },
  query: { readonly src: string | undefined; readonly name?: string | undefined },
  peer: Peer,
): Stream {
  const { src = '', name } = query;
  const known = env.hub.get(src);
  if (known !== undefined) return known;
  const spec = parseSourceSpec(src);
  if (spec.scheme === '' || !env.hub.schemes.includes(spec.scheme)) return env.hub.require(src);
  if (!env.access.allows(peer, 'configure')) {
    throw new HearthcamError('access.denied', 'only who may configure the server may name a URL as src', {
      status: 403,
      hint: 'use the name of a stream',
    });
  }
  allowedOverHttp(spec, env.hub);
  const wanted = name === undefined || name === '' ? src : name;
  const named = env.hub.get(wanted);
  // A name that is in use is not changed by somebody who wants to watch.
  if (named !== undefined && !named.producers.some((producer) => producer.spec.text === src)) {
    throw new HearthcamError('stream.taken', `a stream "${wanted}" exists with another source`, { status: 400 });
  }
  return named ?? env.hub.set(wanted, [src]);
}
