import { WireError } from '../../core/errors.ts';

/** Bytes in front of the payload of an unmasked frame (RFC 6455 §5.2); servers must not mask (§5.1). */
export function wsHeaderBytes(payloadBytes: number): number {
  if (payloadBytes < 126) return 2;
  return payloadBytes < 65_536 ? 4 : 10;
}

/** Writes the header of an unfragmented binary message at `offset`. Returns the offset of the payload. */
export function writeWsBinaryHeader(target: Buffer, offset: number, payloadBytes: number): number {
  target[offset] = 0x82; // FIN, opcode 2
  if (payloadBytes < 126) {
    target[offset + 1] = payloadBytes;
    return offset + 2;
  }
  if (payloadBytes < 65_536) {
    target[offset + 1] = 126;
    return target.writeUInt16BE(payloadBytes, offset + 2);
  }
  target[offset + 1] = 127;
  target.writeUInt32BE(Math.floor(payloadBytes / 2 ** 32), offset + 2);
  return target.writeUInt32BE(payloadBytes >>> 0, offset + 6);
}

/**
 * One server-to-client binary message as it goes on the wire, so that it can be framed once and written to every
 * viewer's socket. Sound only where no extension (compression) was negotiated.
 */
export function wsBinaryFrame(payload: Uint8Array): Buffer {
  const headerBytes = wsHeaderBytes(payload.length);
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  writeWsBinaryHeader(frame, 0, payload.length);
  frame.set(payload, headerBytes);
  return frame;
}

/** A close message (RFC 6455 §5.5.1, codes §7.4.1). @throws WireError when the reason is longer than 123 bytes. */
export function wsCloseFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason);
  if (text.length > 123) throw new WireError('ws.close', `close reason of ${text.length} bytes, at most 123`, 0);
  const frame = Buffer.allocUnsafe(4 + text.length);
  frame[0] = 0x88;
  frame[1] = 2 + text.length;
  frame.writeUInt16BE(code, 2);
  text.copy(frame, 4);
  return frame;
}
