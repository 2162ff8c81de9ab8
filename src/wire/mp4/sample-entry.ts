import { WireError } from '../../core/errors.ts';
import type { AudioFormat, TrackFormat, VideoFormat } from '../../core/media.ts';
import { box, fullBox, u8, u16, u32, zeros } from './box.ts';

/** Ticks per second of a track's media time in the file. */
export function timescaleOf(format: TrackFormat): number {
  return format.clockRateHz;
}

/**
 * The entry of `stsd` that says how to decode a track.
 * @throws WireError when MP4 has no place for the codec.
 */
export function sampleEntry(format: TrackFormat): Buffer {
  return format.kind === 'video' ? videoEntry(format) : audioEntry(format);
}

function videoEntry(format: VideoFormat): Buffer {
  switch (format.codec) {
    case 'h264': // ISO/IEC 14496-15 §5.4.2: avc1 = parameter sets are in avcC alone
      return visual('avc1', format, box('avcC', format.config));
    case 'h265': // §8.4.1: hvc1 likewise, and the only one that Safari takes
      return visual('hvc1', format, box('hvcC', format.config));
    case 'av1': // AV1 Codec ISO Media File Format Binding §2.2
      return visual('av01', format, box('av1C', format.config));
    case 'vp9': // VP Codec ISO Media File Format Binding: vpcC is a full box, version 1
      return visual('vp09', format, fullBox('vpcC', 1, 0, format.config));
    case 'vp8':
    case 'jpeg':
      throw new WireError('mp4.codec', `MP4 does not carry ${format.codec.toUpperCase()}`, 0);
  }
}

/** VisualSampleEntry (ISO/IEC 14496-12 §12.1.3). */
function visual(type: string, format: VideoFormat, config: Buffer): Buffer {
  return box(
    type,
    zeros(6),
    u16(1), // data_reference_index
    zeros(16),
    u16(format.width, format.height),
    u32(0x0048_0000, 0x0048_0000), // 72 dpi
    zeros(4),
    u16(1), // frame_count
    zeros(32), // compressor name
    u16(0x18, 0xffff),
    config,
  );
}

function audioEntry(format: AudioFormat): Buffer {
  switch (format.codec) {
    case 'aac':
      return audio('mp4a', format, esds(0x40, format.config));
    case 'mp3': // object type 0x6b: ISO/IEC 11172-3
      return audio('mp4a', format, esds(0x6b, zeros(0)));
    case 'opus':
      return audio('Opus', format, box('dOps', opusConfig(format)));
    case 'flac': // "Encapsulation of FLAC in ISO Base Media File Format" §3.3
      return audio('fLaC', format, fullBox('dfLa', 0, 0, u32(0x8000_0000 + format.config.length), format.config));
    case 'pcma':
    case 'pcmu':
    case 'l16':
    case 'g722':
    case 'g726':
      throw new WireError('mp4.codec', `MP4 does not carry ${format.codec.toUpperCase()}`, 0);
  }
}

/** AudioSampleEntry (ISO/IEC 14496-12 §12.2.3). The rate is 16.16: larger rates are left to the decoder's config. */
function audio(type: string, format: AudioFormat, config: Buffer): Buffer {
  const rateHz = format.sampleRateHz < 65_536 ? format.sampleRateHz : 0;
  return box(
    type,
    zeros(6),
    u16(1), // data_reference_index
    zeros(8),
    u16(format.channels, 16),
    zeros(4),
    u32(rateHz * 65_536),
    config,
  );
}

/** ES descriptor (ISO/IEC 14496-1 §7.2.6.5, 14496-14 §5.6.1). */
function esds(objectType: number, decoderConfig: Buffer): Buffer {
  const specific = decoderConfig.length === 0 ? zeros(0) : descriptor(0x05, decoderConfig);
  const config = descriptor(
    0x04,
    Buffer.concat([u8(objectType, 0x15, 0, 0, 0), u32(0, 0), specific]), // 0x15: audio stream; rates unknown
  );
  return fullBox('esds', 0, 0, descriptor(0x03, Buffer.concat([u16(1), u8(0), config, descriptor(0x06, u8(2))])));
}

/** The size is always written in four bytes, as most writers do and some readers expect. */
function descriptor(tag: number, content: Buffer): Buffer {
  const n = content.length;
  return Buffer.concat([
    u8(tag, 0x80 | (n >> 21), 0x80 | ((n >> 14) & 0x7f), 0x80 | ((n >> 7) & 0x7f), n & 0x7f),
    content,
  ]);
}

/**
 * dOps (Encapsulation of Opus in ISO BMFF §4.3.2): as OpusHead without its magic, but big-endian and version 0.
 * Without OpusHead: no pre-skip, as befits a stream that is joined in the middle.
 */
function opusConfig(format: AudioFormat): Buffer {
  const head = format.config;
  if (head.length < 19 || head.toString('latin1', 0, 8) !== 'OpusHead') {
    return Buffer.concat([u8(0, Math.min(format.channels, 2)), u16(0), u32(48_000), u16(0), u8(0)]);
  }
  return Buffer.concat([
    u8(0, head.readUInt8(9)),
    u16(head.readUInt16LE(10)),
    u32(head.readUInt32LE(12)),
    u16(head.readUInt16LE(16)),
    head.subarray(18),
  ]);
}
