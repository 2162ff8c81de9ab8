import { createConnection, createServer, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';

/** A link whose speed a test sets while it runs. */
export interface ThrottledLink extends AsyncDisposable {
  readonly port: number;
  /** Bits per second from the server to its clients, all together; infinite: as fast as can be. */
  bitsPerSecond: number;
}

const TICK_MS = 20;
/** What a slow link holds back, for each connection; more waits at the server. */
const QUEUE_BYTES = 16 * 1024;

/** Passes connections on to a port of this machine, through a link that all of them share. */
export async function throttledLink(toPort: number): Promise<ThrottledLink> {
  const waiting = new Map<Socket, Buffer[]>();
  const pairs = new Set<readonly [Socket, Socket]>();
  let credit = 0;
  const link = { bitsPerSecond: Number.POSITIVE_INFINITY };
  const server = createServer((client) => {
    const upstream = createConnection({ port: toPort, host: '127.0.0.1' });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    client.setNoDelay(true);
    waiting.set(client, []);
    const end = (): void => {
      pairs.delete(pair);
      waiting.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    pass(client, upstream);
    upstream.on('data', (chunk: Buffer) => {
      const queue = waiting.get(client);
      if (queue === undefined) return;
      queue.push(chunk);
      pump();
      if (bytesOf(queue) > QUEUE_BYTES) upstream.pause();
    });
  });
  /** Gives each connection its share of what the link may carry by now. */
  function pump(): void {
    let busy = true;
    while (busy && credit > 0) {
      busy = false;
      for (const [client, queue] of waiting) {
        const [chunk] = queue;
        if (chunk === undefined || credit <= 0) continue;
        const size = Math.min(chunk.length, 1_400, Math.max(1, credit));
        client.write(chunk.subarray(0, size));
        credit -= size;
        if (size === chunk.length) queue.shift();
        else queue[0] = chunk.subarray(size);
        busy = true;
      }
    }
    for (const [client, upstream] of pairs) {
      if (bytesOf(waiting.get(client) ?? []) <= QUEUE_BYTES) upstream.resume();
    }
  }
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const passedMs = nowMs - lastMs;
    lastMs = nowMs;
    const most = Number.isFinite(link.bitsPerSecond) ? (link.bitsPerSecond * Math.max(passedMs, 100)) / 8_000 : 1e9;
    credit = Math.min(
      most,
      Number.isFinite(link.bitsPerSecond) ? credit + (link.bitsPerSecond * passedMs) / 8_000 : 1e9,
    );
    pump();
  }, TICK_MS);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return Object.assign(link, {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}

function pass(from: Readable, to: Writable): void {
  from.on('data', (chunk) => to.write(chunk));
}

function bytesOf(queue: readonly Buffer[]): number {
  let bytes = 0;
  for (const chunk of queue) bytes += chunk.length;
  return bytes;
}
