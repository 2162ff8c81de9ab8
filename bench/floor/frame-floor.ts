/**
 * The floor that everything is measured against: a bare Node program that writes the same bytes to the same number of
 * clients, one write per picture with the audio riding along. `frame-floor.ts VIEWERS SECONDS < sizes` (bytes per
 * picture, one a line). Prints its port, then what it cost.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { FPS } from '../lib/media.ts';

const viewers = Number(process.argv[2]);
const seconds = Number(process.argv[3]);
const sizes = readFileSync(0, 'utf8').trim().split('\n').map(Number);
const data = Buffer.alloc(Math.max(...sizes), 7);
const sockets: Socket[] = [];

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  sockets.push(socket);
  if (sockets.length === viewers) begin();
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' && address !== null ? address.port : 0);
});

function begin(): void {
  const startCpu = process.cpuUsage();
  const startMs = performance.now();
  let count = 0;
  let bytes = 0;
  const tick = (): void => {
    const picture = data.subarray(0, sizes[count % sizes.length] ?? 0);
    for (const socket of sockets) {
      socket.write(picture);
      bytes += picture.length;
    }
    count++;
    if (count < seconds * FPS) {
      setTimeout(tick, Math.max(0, startMs + (count * 1000) / FPS - performance.now()));
      return;
    }
    const cpu = process.cpuUsage(startCpu);
    const elapsedS = (performance.now() - startMs) / 1000;
    console.log(JSON.stringify({ cores: (cpu.user + cpu.system) / 1e6 / elapsedS, bytes }));
    process.exit(0);
  };
  tick();
}
