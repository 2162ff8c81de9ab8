import type { AudioFormat } from '../../core/media.ts';

/**
 * How many ticks of its track's clock an audio unit lasts.
 * @param learntTicks distance of the unit before, where known
 */
export function unitDurationTicks(data: Buffer, format: AudioFormat, learntTicks: number | undefined): number {
  switch (format.codec) {
    case 'opus':
      return opusDurationTicks(data);
    case 'pcma':
    case 'pcmu':
    case 'g722':
      return Math.max(1, Math.floor(data.length / format.channels));
    case 'l16':
      return Math.max(1, Math.floor(data.length / 2 / format.channels));
    case 'aac':
      // HE-AAC counts 2048 output samples a frame or 1024 core samples, depending on what the clock counts.
      return learntTicks === 960 || learntTicks === 2048 || learntTicks === 1920 ? learntTicks : 1024;
    case 'mp3':
      return format.sampleRateHz >= 32_000 ? 1152 : 576;
    case 'flac':
      return flacBlockSamples(data) ?? learntTicks ?? 1024;
    case 'g726':
      return learntTicks ?? Math.max(1, data.length * 2);
  }
}

/** Opus packet duration at 48 kHz from its first bytes (RFC 6716 §3.1). */
export function opusDurationTicks(packet: Buffer): number {
  const toc = packet[0] ?? 0;
  const config = toc >> 3;
  let frame: number;
  if (config < 12) frame = [480, 960, 1920, 2880][config & 3] ?? 960;
  else if (config < 16) frame = (config & 1) === 0 ? 480 : 960;
  else frame = [120, 240, 480, 960][config & 3] ?? 960;
  const code = toc & 3;
  const count = code === 0 ? 1 : code === 3 ? (packet[1] ?? 1) & 0x3f : 2;
  return Math.min(5_760, Math.max(120, frame * Math.max(1, count)));
}

/** Samples of a FLAC frame from its header (RFC 9639 §9.1.1); undefined when the size stands elsewhere. */
export function flacBlockSamples(frame: Buffer): number | undefined {
  if (frame.length < 8 || frame[0] !== 0xff) return undefined;
  const code = (frame[2] ?? 0) >> 4;
  if (code === 1) return 192;
  if (code >= 2 && code <= 5) return 144 << code;
  if (code >= 8) return 1 << code;
  // Codes 6 and 7: the size stands behind the coded number, whose first byte tells its length.
  const first = frame[4] ?? 0;
  const numberBytes = first < 0x80 ? 1 : Math.clz32(~(first << 24));
  const at = 4 + numberBytes;
  if (code === 6 && at < frame.length) return frame.readUInt8(at) + 1;
  if (code === 7 && at + 1 < frame.length) return frame.readUInt16BE(at) + 1;
  return undefined;
}
