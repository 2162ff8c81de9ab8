import { HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec, type SourceModule, type SourceRequest, type SourceSpec } from '../../core/source.ts';
import { namesProgram } from '../../core/source-policy.ts';
import { splitCommand } from './command.ts';
import type { Program } from './program.ts';
import type { ProgramHost } from './program-host.ts';

const TIMEOUT_MS = 15_000;
const KILL_TIMEOUT_MS = 1_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** For the connection to the camera, behind the program. */
const CONNECT_MS = 15_000;
const LAST_MS = 1_000;
const PREFIX = 'echo:';

/** `echo:command`: a program that writes the address of the source that is meant, asked anew for each connection. */
export function createEchoSource(host: ProgramHost, modules: () => readonly SourceModule[]): SourceModule {
  return {
    name: 'echo',
    schemes: ['echo'],
    configOnly: true,
    validate: (spec) => host.checkAllowed('echo', wordsOf(spec)),
    startMs: () => TIMEOUT_MS + CONNECT_MS,
    async run(request, sink) {
      const address = await ask(host, request);
      sink.alive(0);
      const spec = parseSourceSpec(address);
      const module = modules().find((one) => one.schemes.includes(spec.scheme));
      if (module === undefined || namesProgram(address)) throw unusable(spec.scheme);
      module.validate?.(spec);
      await module.run({ ...request, spec }, sink);
    },
  };
}

/** All of the text: a `#` belongs to the command, as in go2rtc. */
function wordsOf(spec: SourceSpec): readonly string[] {
  return splitCommand(spec.text.slice(PREFIX.length));
}

/** Runs the program. @returns the first line that it wrote */
async function ask(host: ProgramHost, request: SourceRequest): Promise<string> {
  const { log, streamName, signal } = request;
  const words = wordsOf(request.spec);
  host.checkAllowed('echo', words);
  signal.throwIfAborted();
  const program = host.start({
    kind: 'echo',
    words,
    log,
    streamName,
    killSignal: 'SIGTERM',
    killTimeoutMs: KILL_TIMEOUT_MS,
  });
  const stop = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  let output: string;
  let code: number | null;
  try {
    output = await readAll(program, stop);
    if (stop.aborted && !signal.aborted) {
      throw new HearthcamError('echo.timeout', `${program.label} did not end within ${TIMEOUT_MS / 1000} s`, {
        status: 504,
      });
    }
    code = await program.codeWithin(LAST_MS);
  } finally {
    await program.stop();
  }
  signal.throwIfAborted();
  if (code !== 0) throw program.failure('');
  const [line = ''] = output.trim().split(/\r?\n/);
  if (line !== '') return line.trim();
  throw new HearthcamError('echo.empty', `${program.label} wrote nothing${program.lastWords}`, {
    status: 502,
    hint: 'it should write the address of the camera, for example rtsp://…',
  });
}

/** What it writes until it closes its stdout, or until `stop`. @throws HearthcamError when that is too much */
function readAll(program: Program, stop: AbortSignal): Promise<string> {
  const { stdout } = program;
  if (stdout === null) return Promise.resolve('');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (): void => resolve(Buffer.concat(chunks).toString('utf8'));
    stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= MAX_OUTPUT_BYTES) return;
      stdout.pause();
      reject(
        new HearthcamError('echo.large', `${program.label} wrote more than ${MAX_OUTPUT_BYTES / 1024} KiB`, {
          status: 502,
          hint: 'it should write one address',
        }),
      );
    });
    stdout.once('close', finish);
    stop.addEventListener('abort', finish, { once: true });
    if (stop.aborted) finish();
  });
}

function unusable(scheme: string): HearthcamError {
  return new HearthcamError('echo.scheme', `echo: gave an address that begins with "${scheme}:", which is not taken`, {
    status: 502,
    hint: 'the address of a camera or the name of a stream is wanted; what a program writes never starts another one',
  });
}
