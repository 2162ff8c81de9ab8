import ndc from 'node-datachannel';
import { clockNs, readStamp, STAMP_BYTES, STAMP_MARK } from '../lib/stamp.ts';
import type { Collector } from '../lib/stats.ts';

const RTP_BYTES = 12;
/** A connection that nothing refers to is closed by the garbage collector. */
const held: unknown[] = [];

/** One WHEP viewer. Resolves when it has its first picture. `url` is `http://host:port/api/webrtc?src=…`. */
export function webrtcViewer(url: string, collector: Collector): Promise<void> {
  const connection = new ndc.PeerConnection('viewer', {
    iceServers: [],
    bindAddress: '127.0.0.1',
    disableAutoNegotiation: true,
    forceMediaTransport: true,
  });
  const video = new ndc.Video('0', 'RecvOnly');
  // As browsers do: the usual profiles. Nothing here decodes.
  video.addH264Codec(102, 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640033');
  const track = connection.addTrack(video);
  held.push(connection, track);
  return new Promise((resolve, reject) => {
    let startMs = 0;
    let first = true;
    let lastCount = -1;
    let nextSequence = -1;
    let before: Buffer = Buffer.alloc(0);
    connection.onStateChange((state) => {
      if (state === 'failed' || state === 'closed' || state === 'disconnected') reject(new Error(state));
    });
    track.onMessage((packet) => {
      const type = packet[1] ?? 0;
      if (packet.length < RTP_BYTES || (type >= 192 && type <= 223)) return;
      collector.count(packet.length);
      const sequence = packet.readUInt16BE(2);
      // Losses show as pictures without a readable stamp as well; this only keeps halves of two pictures apart.
      if (sequence !== nextSequence) before = Buffer.alloc(0);
      nextSequence = (sequence + 1) & 0xffff;
      const payload = packet.subarray(RTP_BYTES);
      if (type < 0x80) {
        before = payload;
        return;
      }
      // The stamp stands at the end of the picture and may begin in the packet before the last.
      const end =
        payload.length > STAMP_BYTES + 2
          ? payload
          : Buffer.concat([before.subarray(-STAMP_BYTES), payload.subarray(2)]);
      const at = end.lastIndexOf(STAMP_MARK);
      if (at < 0) return;
      const { ns, count } = readStamp(end, at);
      if (first) {
        first = false;
        collector.firstPictureMs.push(performance.now() - startMs);
        resolve();
      }
      collector.picture(Number(clockNs() - ns) / 1e6, lastCount < 0 ? 0 : Math.max(0, count - lastCount - 1));
      lastCount = count;
    });
    connection.setLocalDescription('offer');
    // Without our candidates the server answers before it checks: on loopback its checks can come faster than the
    // answer, which libdatachannel on this side does not survive.
    const offer = (connection.localDescription()?.sdp ?? '').replace(/^a=(?:candidate|end-of-candidates).*\r\n/gm, '');
    startMs = performance.now();
    fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer })
      .then(async (response) => {
        const answer = await response.text();
        if (!response.ok) throw new Error(`${response.status} ${answer}`);
        connection.setRemoteDescription(answer, 'answer');
      })
      .catch(reject);
  });
}
