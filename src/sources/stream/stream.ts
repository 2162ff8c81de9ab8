import { HearthcamError } from '../../core/errors.ts';
import { forwardStream } from '../../core/forward.ts';
import type { Hub } from '../../core/hub.ts';
import { feedsFrom } from '../../core/own-streams.ts';
import { type SourceModule, silentCall } from '../../core/source.ts';
import { ANY_WANTS } from '../../core/wants.ts';

/** A bare name as source: another stream of the hub. */
export function createStreamSource(getHub: () => Hub, ownPorts: () => readonly number[] = () => []): SourceModule {
  return {
    name: 'stream',
    schemes: [''],
    validate(spec) {
      if (spec.url.trim() !== '') return;
      throw new HearthcamError('source.empty', 'a source without an address', { status: 400 });
    },
    run: (request, sink) => forwardStream(getHub(), request.spec.url, ANY_WANTS, request, sink, ownPorts()),
    /** Who speaks to the one stream speaks to the camera of the other. */
    async talk({ spec, streamName, signal }) {
      const hub = getHub();
      const input = hub.get(spec.url);
      if (input === undefined || feedsFrom(hub, spec.url, streamName, ownPorts())) return silentCall();
      return (await input.talk.codecs(signal)).length === 0 ? silentCall() : input.talk.call(signal);
    },
  };
}
