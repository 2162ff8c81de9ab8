/**
 * The WebRTC process: everything that touches libdatachannel. It talks to the server over one socket and ends when that
 * closes. Nothing else of the program runs in here, so that an abort in native code takes nothing with it.
 */
import { createSocket } from 'node:dgram';
import ndc from 'node-datachannel';
import { describeError } from '../../../core/errors.ts';
import { openServerLink } from '../../../core/process/helper-child.ts';
import { encodeUp, parseDown, type TransportConfig, type UpMessage } from '../link.ts';
import { Transport } from './transport.ts';

let transport: Transport | undefined;
let begun = false;

const link = openServerLink(({ header, payload }) => {
  const message = parseDown(header, payload);
  if (message.type === 'config') {
    if (begun) throw new Error('the configuration can be given only once');
    begun = true;
    begin(message).catch((error: unknown) => {
      process.stderr.write(`${describeError(error)}\n`);
      process.exit(1);
    });
  } else if (message.type === 'ping') {
    send({ type: 'pong', count: message.count });
  } else {
    // The server sends nothing else before it has heard `ready`.
    transport?.handle(message);
  }
});

function send(message: UpMessage): void {
  const { header, payload } = encodeUp(message);
  link.send(header, payload);
}

async function begin(config: TransportConfig): Promise<void> {
  const port = await checkPort(config);
  ndc.initLogger('Error', (_level, text) => send({ type: 'log', level: 'debug', text: text.slice(0, 500) }));
  // The first connection would wait for libdatachannel's threads and tables otherwise.
  ndc.preload();
  transport = new Transport({ ...config, port }, send);
  send({ type: 'ready', port });
}

/**
 * libdatachannel opens the port with the first connection, and a port that is taken would show only as viewers that
 * never connect. So it is tried here; for port 0 a free one is found.
 */
function checkPort(config: TransportConfig): Promise<number> {
  const probe = createSocket(config.bindAddress.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve, reject) => {
    probe.once('error', (error) => {
      reject(new Error(`UDP port ${config.port} can't be used (another program may have it): ${error.message}`));
    });
    probe.bind({ port: config.port, exclusive: true, address: config.bindAddress || '0.0.0.0' }, () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
