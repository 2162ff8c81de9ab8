import { createSocket, type Socket } from 'node:dgram';

export interface UdpRelay extends AsyncDisposable {
  readonly port: number;
  /** Share of datagrams from the server to the client that get lost, 0…1; STUN and DTLS always pass. */
  loss: number;
  readonly dropped: number;
}

/** Stands between a WebRTC client and the server's port and loses packets of media, always the same ones. */
export async function udpRelay(serverPort: number): Promise<UdpRelay> {
  const front = createSocket('udp4');
  const backs = new Map<number, Socket>();
  let seed = 1;
  const relay = { port: 0, loss: 0, dropped: 0 };
  front.on('message', (data, client) => {
    let back = backs.get(client.port);
    if (back === undefined) {
      back = createSocket('udp4');
      backs.set(client.port, back);
      back.on('message', (answer) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        const first = answer[0] ?? 0;
        // RFC 7983: 128…191 is RTP and RTCP.
        if (first >= 128 && first <= 191 && seed / 2 ** 31 < relay.loss) {
          relay.dropped++;
          return;
        }
        front.send(answer, client.port, client.address);
      });
    }
    back.send(data, serverPort, '127.0.0.1');
  });
  await new Promise<void>((resolve) => front.bind(0, '127.0.0.1', resolve));
  relay.port = front.address().port;
  return Object.assign(relay, {
    [Symbol.asyncDispose]: async () => {
      for (const back of backs.values()) back.close();
      await new Promise<void>((resolve) => front.close(() => resolve()));
    },
  });
}
