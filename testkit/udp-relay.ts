import { createSocket, type Socket } from 'node:dgram';

export interface UdpRelay extends AsyncDisposable {
  readonly port: number;
  /** Share of datagrams from the server to the client that get lost, 0…1; STUN and DTLS always pass. */
  loss: number;
  /** What the way from the server to the client carries; 0 = no limit. More than fits into its queue gets lost. */
  bitsPerS: number;
  readonly dropped: number;
}

/** A home router's. */
const QUEUE_MS = 250;

/** Stands between a WebRTC client and the server's port and loses packets of media, always the same ones. */
export async function udpRelay(serverPort: number): Promise<UdpRelay> {
  const front = createSocket('udp4');
  const backs = new Map<number, Socket>();
  let seed = 1;
  const relay = { port: 0, loss: 0, bitsPerS: 0, dropped: 0 };
  let freeAtMs = 0;
  let over = false;
  /** How long it waits in the queue; null when that is full. */
  const delayMs = (bytes: number): number | null => {
    if (relay.bitsPerS === 0) return 0;
    const nowMs = performance.now();
    const waitMs = Math.max(0, freeAtMs - nowMs);
    if (waitMs > QUEUE_MS) return null;
    freeAtMs = nowMs + waitMs + (bytes * 8_000) / relay.bitsPerS;
    return waitMs;
  };
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
        const waitMs = delayMs(answer.length);
        if (waitMs === null) relay.dropped++;
        else if (waitMs < 1) front.send(answer, client.port, client.address);
        else setTimeout(() => over || front.send(answer, client.port, client.address), waitMs);
      });
    }
    back.send(data, serverPort, '127.0.0.1');
  });
  await new Promise<void>((resolve) => front.bind(0, '127.0.0.1', resolve));
  relay.port = front.address().port;
  return Object.assign(relay, {
    [Symbol.asyncDispose]: async () => {
      over = true;
      for (const back of backs.values()) back.close();
      await new Promise<void>((resolve) => front.close(() => resolve()));
    },
  });
}
