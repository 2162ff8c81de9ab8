import { connect } from 'node:net';
import { readStamp, STAMP_BYTES } from '../lib/stamp.ts';
import type { Collector } from '../lib/stats.ts';
import { PictureTimes } from './picture-times.ts';

/** One RTSP/TCP viewer. Resolves when it has its first picture; goes on reading until the process ends. */
export function rtspViewer(url: string, collector: Collector): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const times = new PictureTimes(collector, resolve);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let rest: Buffer = Buffer.alloc(0);
    let step = 0;
    let session = '';
    let sawKey = false;
    let tail: Buffer = Buffer.alloc(0);
    const send = (method: string, target: string, extra = ''): void => {
      const line = session === '' ? '' : `Session: ${session}\r\n`;
      socket.write(`${method} ${target} RTSP/1.0\r\nCSeq: ${++step}\r\n${line}${extra}\r\n`);
    };
    socket.on('connect', () => send('DESCRIBE', url, 'Accept: application/sdp\r\n'));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
    socket.on('data', (chunk) => {
      collector.count(chunk.length);
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (bytes.length >= 4) {
        if (bytes[0] === 0x24) {
          const end = 4 + bytes.readUInt16BE(2);
          if (bytes.length < end) break;
          if (bytes[1] === 0) video(bytes.subarray(4, end));
          bytes = bytes.subarray(end);
          continue;
        }
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) break;
        const head = bytes.toString('latin1', 0, end);
        const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
        if (bytes.length < end + 4 + length) break;
        bytes = bytes.subarray(end + 4 + length);
        next(head);
      }
      rest = bytes.length === 0 ? bytes : Buffer.from(bytes);
    });
    const next = (head: string): void => {
      if (!head.startsWith('RTSP/1.0 200')) {
        reject(new Error(head.split('\r\n')[0]));
        return;
      }
      session = /session: *([^;\r\n]+)/i.exec(head)?.[1] ?? session;
      if (step === 1) send('SETUP', `${url}/trackID=0`, 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n');
      else if (step === 2) send('SETUP', `${url}/trackID=1`, 'Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n');
      else if (step === 3) send('PLAY', url);
    };
    const video = (rtp: Buffer): void => {
      const type = (rtp[12] ?? 0) & 31;
      if (type === 5 || (type === 28 && ((rtp[13] ?? 0) & 31) === 5)) sawKey = true;
      // The last fragment of a picture may be shorter than the stamp, whose beginning is in the one before.
      const payload = rtp.subarray(type === 28 ? 14 : 12);
      const end: Buffer = payload.length >= STAMP_BYTES ? payload : Buffer.concat([tail, payload]);
      tail = Buffer.from(end.subarray(Math.max(0, end.length - STAMP_BYTES)));
      if (((rtp[1] ?? 0) & 0x80) === 0 || !sawKey) return;
      times.picture(readStamp(tail, tail.length - STAMP_BYTES));
    };
  });
}

/** Reads and discards: the floor's client. */
export function sink(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      onread: { buffer: Buffer.alloc(256 * 1024), callback: () => true },
    });
    socket.on('connect', () => resolve());
    socket.on('error', reject);
  });
}
