import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { HearthcamError } from '../../core/errors.ts';

/** An RTP port and the RTCP port above it. */
export interface UdpPair extends AsyncDisposable {
  readonly rtp: Socket;
  readonly rtcp: Socket;
  readonly rtpPort: number;
  readonly rtcpPort: number;
}

export interface UdpPairHandlers {
  onRtp(packet: Buffer, from: RemoteInfo): void;
  onRtcp(packet: Buffer, from: RemoteInfo): void;
  /** Errors of single packets (a viewer's port is closed); the sockets stay. */
  onError(error: Error): void;
}

const TRIES = 20;

/**
 * Opens an even port and the one above it (RFC 3550 §11), chosen by the system.
 * @throws HearthcamError when no such pair is found
 */
export async function openUdpPair(address: string, handlers: UdpPairHandlers): Promise<UdpPair> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const first = await bind(address, 0);
    const port = first.address().port;
    const wanted = port % 2 === 0 ? port + 1 : port - 1;
    try {
      const second = await bind(address, wanted);
      const [rtp, rtcp] = port % 2 === 0 ? [first, second] : [second, first];
      return makePair(rtp, rtcp, handlers);
    } catch {
      // The neighbour is taken: another try gives another port.
      first.close();
    }
  }
  throw new HearthcamError('rtsp.ports', `no free pair of UDP ports on ${address}`, { status: 503 });
}

function makePair(rtp: Socket, rtcp: Socket, handlers: UdpPairHandlers): UdpPair {
  rtp.on('message', handlers.onRtp);
  rtcp.on('message', handlers.onRtcp);
  rtp.on('error', handlers.onError);
  rtcp.on('error', handlers.onError);
  let closed = false;
  return {
    rtp,
    rtcp,
    rtpPort: rtp.address().port,
    rtcpPort: rtcp.address().port,
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      await Promise.all([rtp, rtcp].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    },
  };
}

function bind(address: string, port: number): Promise<Socket> {
  const type = isIPv6(address) ? 'udp6' : 'udp4';
  const socket = createSocket({
    type,
    // Addresses are numeric always; Node would ask its resolver for each packet.
    lookup: (host, _options, done) => done(null, host, type === 'udp6' ? 6 : 4),
    sendBufferSize: 1024 * 1024,
    recvBufferSize: 1024 * 1024,
  });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind(port, address, () => {
      socket.removeAllListeners('error');
      socket.unref();
      resolve(socket);
    });
  });
}
