import { WireError } from '../../core/errors.ts';

/** Duration of an Opus packet in samples of 48 kHz (RFC 6716 §3.1, §3.2). @throws WireError for an empty packet */
export function opusPacketSamples(packet: Buffer): number {
  const toc = packet[0];
  if (toc === undefined) throw new WireError('opus.short', 'an Opus packet without bytes', 0);
  const config = toc >> 3;
  const samples =
    config < 12
      ? ([480, 960, 1920, 2880][config & 3] ?? 960)
      : config < 16
        ? ([480, 960][config & 1] ?? 960)
        : ([120, 240, 480, 960][config & 3] ?? 960);
  const code = toc & 3;
  const frames = code === 0 ? 1 : code === 3 ? (packet[1] ?? 0) & 0x3f : 2;
  if (code === 3 && packet.length < 2) throw new WireError('opus.short', 'an Opus packet without frame count', 1);
  return Math.min(samples * frames, MAX_PACKET_SAMPLES);
}
/** RFC 6716 §3.2.5: 120 ms. */
const MAX_PACKET_SAMPLES = 5760;

/** OpusHead (RFC 7845 §5.1) for mapping family 0. `preSkip` in samples of 48 kHz. */
export function buildOpusHead(channels: number, preSkip = 0, inputRateHz = 48_000): Buffer {
  const head = Buffer.alloc(19);
  head.write('OpusHead', 0, 'latin1');
  head[8] = 1;
  head[9] = channels;
  head.writeUInt16LE(preSkip, 10);
  head.writeUInt32LE(inputRateHz, 12);
  return head;
}
