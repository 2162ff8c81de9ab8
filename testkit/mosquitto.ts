import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { waitFor } from './wait.ts';

export interface MosquittoOptions {
  /** Further lines of its configuration; `%DIR%` is its folder. */
  readonly lines?: readonly string[];
  /** Files in its folder, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Debian's Mosquitto on a loopback port that stays the same over restarts. Close with `await using`. */
export class Mosquitto implements AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(port: number, directory: string) {
    this.port = port;
    this.directory = directory;
  }

  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    const directory = await mkdtemp(join(tmpdir(), 'hearthcam-mosquitto-'));
    const broker = new Mosquitto(await freePort(), directory);
    const lines = options.lines ?? ['allow_anonymous true'];
    // As root it would become a user who can't read our folder.
    const config = [`listener ${broker.port} 127.0.0.1`, ...(process.getuid?.() === 0 ? ['user root'] : []), ...lines];
    for (const [name, text] of Object.entries(options.files ?? {})) await writeFile(join(directory, name), text);
    await writeFile(join(directory, 'mosquitto.conf'), config.join('\n').replaceAll('%DIR%', directory));
    await broker.run();
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }
  /** What it has written so far. */
  get output(): string {
    return this.#output;
  }

  /** Starts it (again): it remembers nothing, unless its configuration says so. */
  async run(): Promise<void> {
    const config = join(this.directory, 'mosquitto.conf');
    const environment = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` };
    const child = spawn('mosquitto', ['-v', '-c', config], { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
    this.#child = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output += text;
        this.#output += text;
      });
    }
    await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`mosquitto ended: ${output}`);
        return / running/.test(output);
      },
      { what: 'mosquitto to run' },
    );
  }

  /** Ends it without a word, as a power cut does; or as a restart does, in which it may save what it knows. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}
