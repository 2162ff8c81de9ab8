import { createServer } from 'node:net';
import { describeError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';

const RETRY_MS = 10_000;
/** Programs of this machine: a handful. */
const MAX_CONNECTIONS = 64;

/**
 * A broker inside, on the loopback address only: whoever can connect is a program of this machine, and none is asked
 * for a password. What is retained is kept in memory, and published again by us after a restart. Ends with the scope.
 * Resolves when it listens; while its port is taken it tries again.
 */
export async function startBroker(port: number, log: Log, scope: Scope): Promise<void> {
  const { Aedes } = await import('aedes');
  const broker = await Aedes.createBroker();
  const server = createServer((socket) => {
    // The client's own error handling comes with the greeting; before that a reset must not end the program.
    socket.on('error', (error) => log.debug(`a client of the broker inside is gone: ${error.message}`));
    broker.handle(socket);
  });
  server.maxConnections = MAX_CONNECTIONS;
  scope.defer(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    await closed;
  });
  broker.on('clientError', (client, error) => log.debug(`broker inside: ${client.id}: ${error.message}`));
  broker.on('connectionError', (_client, error) => log.debug(`broker inside: ${error.message}`));
  let told = false;
  while (!scope.closed) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', () => {
          server.off('error', reject);
          resolve();
        });
      });
      server.on('error', (error) => log.warn(`broker inside: ${error.message}`));
      log.info(`the broker inside listens on 127.0.0.1:${port}`);
      return;
    } catch (error) {
      if (!told) log.error(`the broker inside can't listen on 127.0.0.1:${port}: ${describeError(error)}`);
      told = true;
      await scope.sleep(RETRY_MS);
    }
  }
}
