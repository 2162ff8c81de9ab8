import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { readStamp, STAMP_MARK } from '../lib/stamp.ts';
import type { Collector } from '../lib/stats.ts';
import { PictureTimes } from './picture-times.ts';

/**
 * One MSE viewer (compatibility.md 1.5). Resolves when it has its first picture. `url` is
 * `ws://host:port/api/ws?src=…`.
 */
export function mseViewer(url: string, collector: Collector): Promise<void> {
  const { hostname, port, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const times = new PictureTimes(collector, resolve);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let upgraded = false;
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
    socket.on('connect', () => {
      const key = randomBytes(16).toString('base64');
      socket.write(
        `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      );
    });
    socket.on('data', (chunk) => {
      collector.count(chunk.length);
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      if (!upgraded) {
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) {
          rest = bytes;
          return;
        }
        if (!bytes.toString('latin1', 0, 12).endsWith('101')) {
          reject(new Error(bytes.toString('latin1', 0, end)));
          return;
        }
        upgraded = true;
        bytes = bytes.subarray(end + 4);
        socket.write(textFrame('{"type":"mse","value":"avc1.640029,mp4a.40.2"}'));
      }
      for (;;) {
        const frame = readFrame(bytes);
        if (frame === undefined) break;
        if (frame.opcode === 2) message(frame.payload);
        else if (frame.opcode === 1 && frame.payload.includes('"error"')) reject(new Error(frame.payload.toString()));
        bytes = bytes.subarray(frame.end);
      }
      rest = bytes.length === 0 ? bytes : Buffer.from(bytes);
    });
    const message = (payload: Buffer): void => {
      for (let at = payload.indexOf(STAMP_MARK); at >= 0; at = payload.indexOf(STAMP_MARK, at + STAMP_MARK.length)) {
        times.picture(readStamp(payload, at));
      }
    };
  });
}

function readFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | undefined {
  if (bytes.length < 2) return undefined;
  let length = (bytes[1] ?? 0) & 127;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  if (bytes.length < at + length) return undefined;
  return { opcode: (bytes[0] ?? 0) & 15, payload: bytes.subarray(at, at + length), end: at + length };
}

/** A masked client text frame (RFC 6455 §5.3) with a mask of zeros, which leaves the text as it is. */
function textFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}
