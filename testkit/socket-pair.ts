import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';

/** Both ends of a TCP connection on loopback: `near` as a server has it, `far` as its client. */
export async function socketPair(): Promise<{ near: Socket; far: Socket; close: () => void }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const far = connect(address.port, '127.0.0.1');
  const [near] = await once(server, 'connection');
  if (!(near instanceof Socket)) throw new Error('no socket');
  return {
    near,
    far,
    close: () => {
      near.destroy();
      far.destroy();
      server.close();
    },
  };
}
