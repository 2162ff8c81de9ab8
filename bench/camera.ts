/**
 * The camera of the benchmark: a bare RTSP/TCP server that loops pre-encoded media in real time, one write per picture,
 * and stamps each picture. It shares no code with the server under test. `node bench/camera.ts [gopS] [port]` prints its port.
 */
import { createServer, type Socket } from 'node:net';
import { benchMedia, FPS } from './lib/media.ts';
import { clockNs, STAMP_BYTES, writeStamp } from './lib/stamp.ts';

const media = await benchMedia(process.argv[2] === '4' ? 4 : 2);
const MTU = 1400;
const AUDIO_HZ = 16_000;
const players = new Set<Socket>();

const sdp = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=bench',
  't=0 0',
  'm=video 0 RTP/AVP 96',
  'a=rtpmap:96 H264/90000',
  `a=fmtp:96 packetization-mode=1;sprop-parameter-sets=${media.sps.toString('base64')},${media.pps.toString('base64')}`,
  'a=control:trackID=0',
  'm=audio 0 RTP/AVP 97',
  'a=rtpmap:97 MPEG4-GENERIC/16000/1',
  'a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408',
  'a=control:trackID=1',
  '',
].join('\r\n');

const server = createServer({ noDelay: true }, (socket) => {
  let text = '';
  socket.on('error', () => players.delete(socket));
  socket.on('close', () => players.delete(socket));
  socket.on('data', (chunk) => {
    // Receiver reports and other interleaved bytes from the relay don't matter here.
    text = (text + chunk.toString('latin1')).slice(-20_000);
    for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
      const request = text.slice(0, end).replace(/^[^A-Z]*/s, '');
      text = text.slice(end + 4);
      answer(socket, request);
    }
  });
});

function answer(socket: Socket, request: string): void {
  const method = /^(?:.*\n)?([A-Z_]+) rtsp/s.exec(request)?.[1] ?? '';
  const sequence = /cseq: *(\d+)/i.exec(request)?.[1] ?? '0';
  const track = /trackID=1/.test(request) ? 1 : 0;
  const head = `RTSP/1.0 200 OK\r\nCSeq: ${sequence}\r\nSession: 1;timeout=60\r\n`;
  if (method === 'OPTIONS') socket.write(`${head}Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n`);
  else if (method === 'DESCRIBE') {
    socket.write(`${head}Content-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n\r\n${sdp}`);
  } else if (method === 'SETUP') {
    socket.write(`${head}Transport: RTP/AVP/TCP;unicast;interleaved=${track * 2}-${track * 2 + 1}\r\n\r\n`);
  } else {
    socket.write(`${head}\r\n`);
    if (method === 'PLAY') players.add(socket);
    if (method === 'TEARDOWN') socket.end();
  }
}

const sequences = [0, 0];
function packet(track: number, marker: boolean, time: number, parts: readonly Buffer[]): Buffer {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(16);
  head[0] = 0x24;
  head[1] = track * 2;
  head.writeUInt16BE(bytes + 12, 2);
  head[4] = 0x80;
  head[5] = (marker ? 0x80 : 0) | (96 + track);
  const sequence = sequences[track] ?? 0;
  sequences[track] = (sequence + 1) & 0xffff;
  head.writeUInt16BE(sequence, 6);
  head.writeUInt32BE(time >>> 0, 8);
  head.writeUInt32BE(0x1000 + track, 12);
  return Buffer.concat([head, ...parts]);
}

function fragment(nal: Buffer, last: boolean, time: number): Buffer[] {
  if (nal.length <= MTU) return [packet(0, last, time, [nal])];
  const first = nal[0] ?? 0;
  const packets: Buffer[] = [];
  for (let at = 1; at < nal.length; at += MTU) {
    const end = Math.min(nal.length, at + MTU);
    const flags = (at === 1 ? 0x80 : 0) | (end === nal.length ? 0x40 : 0);
    const header = Buffer.from([(first & 0xe0) | 28, flags | (first & 31)]);
    packets.push(packet(0, last && end === nal.length, time, [header, nal.subarray(at, end)]));
  }
  return packets;
}

function senderReport(track: number, time: number): Buffer {
  const report = Buffer.alloc(32);
  report[0] = 0x24;
  report[1] = track * 2 + 1;
  report.writeUInt16BE(28, 2);
  report[4] = 0x80;
  report[5] = 200;
  report.writeUInt16BE(6, 6);
  report.writeUInt32BE(0x1000 + track, 8);
  const wallMs = Date.now();
  report.writeUInt32BE((Math.floor(wallMs / 1000) + 2_208_988_800) >>> 0, 12);
  report.writeUInt32BE(Math.floor(((wallMs % 1000) / 1000) * 2 ** 32) >>> 0, 16);
  report.writeUInt32BE(time >>> 0, 20);
  return report;
}

let count = 0;
let audioCount = 0;
const startedMs = performance.now();
function tick(): void {
  const picture = media.pictures[count % media.pictures.length];
  if (players.size > 0 && picture !== undefined) {
    const time = count * (90_000 / FPS);
    const nals = picture.key ? [media.sps, media.pps, ...picture.nals] : picture.nals;
    const packets: Buffer[] = [];
    if (count % (FPS * 2) === 0) packets.push(senderReport(0, time), senderReport(1, audioCount * 1024));
    nals.forEach((nal, index) => {
      const last = index === nals.length - 1;
      const stamped = last ? Buffer.concat([nal, Buffer.alloc(STAMP_BYTES)]) : nal;
      if (last) writeStamp(stamped, nal.length, clockNs(), count);
      packets.push(...fragment(stamped, last, time));
    });
    const burst = Buffer.concat(packets);
    for (const socket of players) socket.write(burst);
  }
  count++;
  while ((audioCount * 1024) / AUDIO_HZ < count / FPS) {
    const frame = media.audio[audioCount % media.audio.length];
    if (players.size > 0 && frame !== undefined) {
      const header = Buffer.alloc(4);
      header.writeUInt16BE(16, 0);
      header.writeUInt16BE(frame.length << 3, 2);
      const bytes = packet(1, true, audioCount * 1024, [header, frame]);
      for (const socket of players) socket.write(bytes);
    }
    audioCount++;
  }
  setTimeout(tick, Math.max(0, startedMs + (count * 1000) / FPS - performance.now()));
}

server.listen(Number(process.argv[3] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' && address !== null ? address.port : 0);
  tick();
});
process.on('SIGTERM', () => process.exit(0));
