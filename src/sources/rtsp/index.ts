import { HearthcamError } from '../../core/errors.ts';
import type { SourceModule, SourceRequest, SourceSink } from '../../core/source.ts';
import { CameraMemory } from './memory.ts';
import { RtspSession } from './session.ts';
import { callCamera } from './talk.ts';
import { parseTarget, readOptions, redirected } from './target.ts';

const MAX_REDIRECTS = 5;

export interface RtspSourceOptions {
  /** Distance of receiver reports; every second one says what was lost. Default 5 s. */
  readonly reportMs?: number;
}

const DEFAULT_REPORT_MS = 5_000;

/**
 * RTSP cameras: `rtsp://`, `rtsps://` (TLS, certificate verified), `rtspx://` (TLS, not verified). See README. Each
 * module has a memory of its own of what cameras need.
 */
export function makeRtspSource({ reportMs = DEFAULT_REPORT_MS }: RtspSourceOptions = {}): SourceModule {
  const memory = new CameraMemory();
  return {
    name: 'rtsp',
    schemes: ['rtsp', 'rtsps', 'rtspx'],
    validate(spec) {
      parseTarget(spec.url);
      readOptions(spec);
    },
    run: (request, sink) => run(request, sink, memory, reportMs),
    talk: (request) => callCamera(request, memory),
  };
}

async function run(request: SourceRequest, sink: SourceSink, memory: CameraMemory, reportMs: number): Promise<void> {
  const options = readOptions(request.spec);
  let target = parseTarget(request.spec.url);
  for (let redirects = 0; ; ) {
    const quirks = memory.of(target);
    const outcome = await new RtspSession({ target, options, quirks, request, sink, reportMs }).run();
    switch (outcome.kind) {
      case 'ended':
        return;
      case 'again':
        break;
      case 'redirect':
        if (++redirects > MAX_REDIRECTS) {
          throw new HearthcamError('rtsp.redirect', `${target.display} redirects more than ${MAX_REDIRECTS} times`, {
            status: 502,
          });
        }
        target = redirected(target, outcome.location);
        break;
      default:
        outcome satisfies never;
    }
  }
}
