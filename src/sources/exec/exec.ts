import { Problems } from '../../core/containers/input.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import { LogLimiter } from '../../core/log.ts';
import type { SourceModule, SourceRequest, SourceSink } from '../../core/source.ts';
import { Leash } from './leash.ts';
import type { Program } from './program.ts';
import type { ProgramHost } from './program-host.ts';
import { type ExecSpec, OUTPUT, parseExecSpec } from './spec.ts';
import { readStdout } from './stdout.ts';

/** How long a program whose stdout has ended may take to end itself, so that its code can be told. */
const LAST_MS = 1_000;
/** Our own timer must be the first to give up: it knows the program's last words. */
const MARGIN_MS = 5_000;

const now = (): number => performance.now();

/** `exec:command`: a program whose stdout is the media, or that publishes by RTSP to `{output}`. */
export function createExecSource(host: ProgramHost, getHub: () => Hub): SourceModule {
  const told = new LogLimiter(3_600_000);
  return {
    name: 'exec',
    schemes: ['exec'],
    configOnly: true,
    validate: (spec) => host.checkAllowed('exec', parseExecSpec(spec).words),
    startMs: (spec) => parseExecSpec(spec).startTimeoutMs + MARGIN_MS,
    async run(request, sink) {
      const spec = parseExecSpec(request.spec);
      host.checkAllowed('exec', spec.words);
      for (const key of spec.unknown) {
        if (told.admit(`${request.streamName} ${key}`) === null) continue;
        request.log.warn(`camera "${request.streamName}": exec: #${key} has no effect (a # begins a parameter)`);
      }
      if (spec.publishes) await runPublishing(host, getHub(), spec, request, sink);
      else await runPiped(host, spec, request, sink);
    },
  };
}

/** The program's stdout is the media. */
async function runPiped(host: ProgramHost, spec: ExecSpec, request: SourceRequest, sink: SourceSink): Promise<void> {
  const { log, streamName } = request;
  const leash = new Leash(sink, now);
  await supervise(
    host,
    spec,
    request,
    spec.words,
    () => leash.described,
    async (program, signal) => {
      if (program.stdout === null) return;
      await readStdout(
        program.stdout,
        {
          label: program.label,
          sink: leash,
          about: { protocol: 'pipe', remoteAddr: '', userAgent: program.label },
          problems: new Problems(log, streamName),
          nowMs: now,
        },
        signal,
      );
    },
  );
}

/** The program sends its media to our RTSP server, under a name that it alone knows. */
async function runPublishing(
  host: ProgramHost,
  hub: Hub,
  spec: ExecSpec,
  request: SourceRequest,
  sink: SourceSink,
): Promise<void> {
  const published = Promise.withResolvers<void>();
  published.promise.catch(() => {});
  const stop = new AbortController();
  const leash = new Leash(sink, now);
  using expectation = hub.expected.expect({
    name: request.streamName,
    async publish(_spec, module) {
      if (stop.signal.aborted) throw new HearthcamError('exec.late', 'the program is being ended', { status: 503 });
      module.run({ ...request, signal: stop.signal }, leash).then(published.resolve, published.reject);
    },
  });
  const words = spec.words.map((word) => word.replaceAll(OUTPUT, expectation.url));
  try {
    await supervise(
      host,
      spec,
      request,
      words,
      () => leash.described,
      async (program, signal) => {
        // What it prints is of no use, but it must not wait for somebody to read it.
        program.stdout?.resume();
        const onAbort = (): void => published.resolve();
        signal.addEventListener('abort', onAbort, { once: true });
        await Promise.race([published.promise, program.ended]);
        signal.removeEventListener('abort', onAbort);
      },
    );
  } finally {
    stop.abort(new HearthcamError('exec.over', 'the program has ended'));
  }
}

/**
 * Starts the program, lets `serve` take its media until that ends, and ends the program with all that it has started.
 * @throws HearthcamError with the reason, unless the stream has ended it
 */
async function supervise(
  host: ProgramHost,
  spec: ExecSpec,
  request: SourceRequest,
  words: readonly string[],
  hasMedia: () => boolean,
  serve: (program: Program, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { signal, log, streamName } = request;
  signal.throwIfAborted();
  const { killSignal, killTimeoutMs, startTimeoutMs } = spec;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const program = host.start({ kind: 'exec', words, shown: spec.words, log, streamName, killSignal, killTimeoutMs });
  let tooLate = false;
  const timer = setTimeout(() => {
    if (hasMedia()) return;
    tooLate = true;
    stop.abort();
  }, startTimeoutMs);
  try {
    await serve(program, stop.signal);
    if (!stop.signal.aborted) await program.codeWithin(LAST_MS);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    await program.stop();
  }
  if (signal.aborted) return;
  if (tooLate) throw nothingCame(program, startTimeoutMs);
  throw program.failure(hasMedia() ? '' : ' before its media was there');
}

function nothingCame(program: Program, startTimeoutMs: number): HearthcamError {
  return new HearthcamError(
    'exec.timeout',
    `${program.label} gave no media within ${startTimeoutMs / 1000} s${program.lastWords}`,
    { status: 504, hint: 'give it more time with #starttimeout=<seconds>, or run the command by hand' },
  );
}
