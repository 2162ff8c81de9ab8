/**
 * The floor for WebRTC: a bare loop that hands the same packets to node-datachannel tracks. It answers WHEP so that the
 * same load generator can be used. `webrtc-floor.ts VIEWERS SECONDS < sizes` (bytes per picture, one a line). Prints its
 * port, then what it cost.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import ndc, { type PeerConnection, type Track } from 'node-datachannel';
import { FPS } from '../lib/media.ts';
import { clockNs, STAMP_BYTES, writeStamp } from '../lib/stamp.ts';

const viewers = Number(process.argv[2]);
const seconds = Number(process.argv[3]);
const PACKET_BYTES = 1_200;
const HEADER_BYTES = 12;
const sizes = readFileSync(0, 'utf8').trim().split('\n').map(Number);

/** Each picture as RTP packets, the last with the marker. */
const pictures = sizes.map((size) => {
  const packets: Buffer[] = [];
  for (let left = Math.max(size, STAMP_BYTES + 40); left > 0; left -= PACKET_BYTES - HEADER_BYTES) {
    const packet = Buffer.alloc(
      HEADER_BYTES + Math.min(Math.max(left, STAMP_BYTES + 40), PACKET_BYTES - HEADER_BYTES),
      7,
    );
    packet[0] = 0x80;
    packet[1] = 102;
    packets.push(packet);
  }
  const last = packets.at(-1);
  if (last !== undefined) last[1] = 0x80 | 102;
  return packets;
});

interface Viewer {
  /** Held, as the garbage collector closes a connection that nothing refers to. */
  readonly connection: PeerConnection;
  readonly track: Track;
  readonly ssrc: number;
  sequence: number;
}
const watching: Viewer[] = [];
let open = 0;

const server = createServer((request, response) => {
  let offer = '';
  request.setEncoding('utf8').on('data', (text: string) => {
    offer += text;
  });
  request.on('end', () => {
    const connection = new ndc.PeerConnection('peer', {
      iceServers: [],
      bindAddress: '127.0.0.1',
      portRangeBegin: port,
      portRangeEnd: port,
      enableIceUdpMux: true,
      disableAutoNegotiation: true,
      forceMediaTransport: true,
    });
    connection.setRemoteDescription(offer, 'offer');
    const video = new ndc.Video('0', 'SendOnly');
    video.addH264Codec(102, 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640033');
    const ssrc = 1 + watching.length;
    video.addSSRC(ssrc, 'floor', 'floor', 'video');
    const track = connection.addTrack(video);
    watching.push({ connection, track, ssrc, sequence: 0 });
    track.onOpen(() => {
      open++;
      if (open === viewers) begin();
    });
    connection.setLocalDescription('answer');
    response.writeHead(201, { 'content-type': 'application/sdp' }).end(
      // libdatachannel as the other side takes the end mark for a failure before it has read the candidates.
      (connection.localDescription()?.sdp ?? '').replaceAll('a=end-of-candidates\r\n', ''),
    );
  });
});
let port = 0;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
  console.log(port);
});

function begin(): void {
  const startMs = performance.now();
  let startCpu = process.cpuUsage();
  let measuredFromMs = startMs;
  let count = 0;
  let bytes = 0;
  // The first seconds are the joins; they are not what is compared.
  const warmUp = 2 * FPS;
  const tick = (): void => {
    if (count === warmUp) {
      startCpu = process.cpuUsage();
      measuredFromMs = performance.now();
      bytes = 0;
    }
    const packets = pictures[count % pictures.length] ?? [];
    const last = packets.at(-1);
    if (last !== undefined) writeStamp(last, last.length - STAMP_BYTES, clockNs(), count);
    const timestamp = count * (90_000 / FPS);
    for (const viewer of watching) {
      for (const packet of packets) {
        packet.writeUInt16BE(viewer.sequence, 2);
        packet.writeUInt32BE(timestamp, 4);
        packet.writeUInt32BE(viewer.ssrc, 8);
        viewer.sequence = (viewer.sequence + 1) & 0xffff;
        viewer.track.sendMessageBinary(packet);
        bytes += packet.length;
      }
    }
    count++;
    if (count < warmUp + seconds * FPS) {
      setTimeout(tick, Math.max(0, startMs + (count * 1000) / FPS - performance.now()));
      return;
    }
    const cpu = process.cpuUsage(startCpu);
    const elapsedS = (performance.now() - measuredFromMs) / 1000;
    console.log(JSON.stringify({ cores: (cpu.user + cpu.system) / 1e6 / elapsedS, bytes }));
    process.exit(0);
  };
  tick();
}
