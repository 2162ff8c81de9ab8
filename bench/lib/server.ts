import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../testkit/free-port.ts';
import { Program } from './process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The server as a user starts it: `./hearthcam serve -c FILE`. */
export class BenchServer implements AsyncDisposable {
  readonly program: Program;
  readonly #folder: string;
  readonly ports: { readonly api: number; readonly rtsp: number; readonly webrtc: number };
  /** From the command to the first 200 of `/api`. */
  readyMs = 0;

  private constructor(program: Program, folder: string, ports: BenchServer['ports']) {
    this.program = program;
    this.#folder = folder;
    this.ports = ports;
  }

  static async start(
    streams: Readonly<Record<string, string>>,
    held: readonly string[] = [],
    more: readonly string[] = [],
  ): Promise<BenchServer> {
    const ports = { api: await freePort(), rtsp: await freePort(), webrtc: await freePort() };
    const folder = mkdtempSync(join(tmpdir(), 'hearthcam-bench-'));
    const file = join(folder, 'go2rtc.yaml');
    const lines = [
      `api: {listen: "127.0.0.1:${ports.api}"}`,
      `rtsp: {listen: "127.0.0.1:${ports.rtsp}"}`,
      `webrtc: {listen: "127.0.0.1:${ports.webrtc}", ice_servers: [], filters: {loopback: true}}`,
      ...more,
      'streams:',
      ...Object.entries(streams).map(([name, source]) => `  ${name}: ${source}`),
      ...(held.length > 0 ? ['preload:', ...held.map((name) => `  ${name}:`)] : []),
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const startMs = performance.now();
    const program = new Program(join(ROOT, 'hearthcam'), ['serve', '-c', file]);
    const server = new BenchServer(program, folder, ports);
    for (;;) {
      const ready = await fetch(`${server.api}/api`).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) break;
      if (performance.now() - startMs > 30_000) throw new Error('the server does not answer');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    server.readyMs = performance.now() - startMs;
    return server;
  }

  get api(): string {
    return `http://127.0.0.1:${this.ports.api}`;
  }
  rtsp(name: string): string {
    return `rtsp://127.0.0.1:${this.ports.rtsp}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
