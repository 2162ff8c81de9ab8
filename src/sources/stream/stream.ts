import { HearthcamError } from '../../core/errors.ts';
import { forwardStream } from '../../core/forward.ts';
import type { Hub } from '../../core/hub.ts';
import type { SourceModule } from '../../core/source.ts';
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
  };
}
