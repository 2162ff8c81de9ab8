import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from './free-port.ts';
import { waitFor } from './wait.ts';

export interface TurnServer extends AsyncDisposable {
  readonly port: number;
  readonly username: string;
  readonly credential: string;
  /** What it has written so far. */
  readonly output: () => string;
}

/** Debian's coturn on loopback: TURN over UDP (RFC 8656) with one user. Close with `await using`. */
export async function startTurnServer(): Promise<TurnServer> {
  const port = await freePort();
  const [username, credential] = ['camera', 'secret'];
  const child = spawn(
    'turnserver',
    [
      ...['-n', '--log-file=stdout', '--no-cli', '--no-tls', '--no-dtls', '--pidfile=', '--verbose'],
      ...['--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', `--listening-port=${port}`, '--allow-loopback-peers'],
      ...['--lt-cred-mech', '--realm=hearthcam.test', `--user=${username}:${credential}`],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output += text;
    });
  }
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  try {
    await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`turnserver ended: ${output}`);
        return /IPv4\. UDP listener opened on/.test(output);
      },
      { what: 'the TURN server to listen' },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, username, credential, output: () => output, [Symbol.asyncDispose]: stop };
}
