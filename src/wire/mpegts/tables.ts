import { WireError } from '../../core/errors.ts';
import type { Codec } from '../../core/media.ts';
import { crc32Mpeg } from './packet.ts';

/** One elementary stream of a programme, from its PMT (ISO/IEC 13818-1 §2.4.4.8). */
export interface TsStreamInfo {
  readonly pid: number;
  readonly streamType: number;
  /** Null when we don't carry it. */
  readonly codec: Codec | null;
  /** AAC in LATM (ISO/IEC 14496-3 §1.7) instead of ADTS. */
  readonly latm: boolean;
  /** Opus: from its descriptor; else 0. */
  readonly channels: number;
}

/** @returns PIDs of the programme maps, by programme number (§2.4.4.3); without the network PID. */
export function parsePat(section: Buffer): Map<number, number> {
  const body = sectionBody(section, 0x00, 'PAT');
  const programmes = new Map<number, number>();
  for (let at = 0; at + 4 <= body.length; at += 4) {
    const number = body.readUInt16BE(at);
    if (number !== 0) programmes.set(number, body.readUInt16BE(at + 2) & 0x1fff);
  }
  return programmes;
}

/** @throws WireError when the section is damaged. */
export function parsePmt(section: Buffer): { pcrPid: number; streams: TsStreamInfo[] } {
  const body = sectionBody(section, 0x02, 'PMT');
  if (body.length < 4) throw new WireError('mpegts.pmt', `PMT of ${body.length} bytes`, 0);
  const pcrPid = body.readUInt16BE(0) & 0x1fff;
  let at = 4 + (body.readUInt16BE(2) & 0x0fff);
  const streams: TsStreamInfo[] = [];
  while (at + 5 <= body.length) {
    const streamType = body[at] ?? 0;
    const pid = body.readUInt16BE(at + 1) & 0x1fff;
    const infoBytes = body.readUInt16BE(at + 3) & 0x0fff;
    const info = body.subarray(at + 5, at + 5 + infoBytes);
    streams.push({ pid, streamType, ...codecOf(streamType, info) });
    at += 5 + infoBytes;
  }
  return { pcrPid, streams };
}

/** Checks length and CRC; gives what lies between the section header and the CRC. */
function sectionBody(section: Buffer, tableId: number, name: string): Buffer {
  if (section.length < 12) throw new WireError('mpegts.section', `${name} section of ${section.length} bytes`, 0);
  if (section[0] !== tableId) throw new WireError('mpegts.table', `expected ${name}, got table ${section[0]}`, 0);
  const bytes = 3 + (section.readUInt16BE(1) & 0x0fff);
  if (bytes > section.length || bytes < 12) {
    throw new WireError('mpegts.section', `${name} section says ${bytes} bytes, has ${section.length}`, 1);
  }
  if (crc32Mpeg(section.subarray(0, bytes)) !== 0) throw new WireError('mpegts.crc', `${name} has a wrong CRC`, 0);
  return section.subarray(8, bytes - 4);
}

function codecOf(streamType: number, info: Buffer): { codec: Codec | null; latm: boolean; channels: number } {
  const plain = STREAM_TYPES[streamType];
  if (plain !== undefined) return { codec: plain, latm: streamType === 0x11, channels: 0 };
  if (streamType !== 0x06) return { codec: null, latm: false, channels: 0 };
  return privateCodec(info);
}

/** Table 2-34 and its amendments. 0x90 and 0x91 are what GB/T 28181 devices, Tapo among them, use for G.711. */
const STREAM_TYPES: Readonly<Record<number, Codec>> = {
  3: 'mp3',
  4: 'mp3',
  15: 'aac',
  17: 'aac',
  27: 'h264',
  36: 'h265',
  144: 'pcma',
  145: 'pcmu',
};

/** PES private data says by descriptors what it is: registration (§2.6.8) and, for Opus, the extension 0x80. */
function privateCodec(info: Buffer): { codec: Codec | null; latm: boolean; channels: number } {
  let codec: Codec | null = null;
  let channels = 0;
  for (let at = 0; at + 2 <= info.length; ) {
    const tag = info[at];
    const bytes = info[at + 1] ?? 0;
    const data = info.subarray(at + 2, at + 2 + bytes);
    if (tag === 0x05 && data.length >= 4) {
      const name = data.toString('latin1', 0, 4);
      if (name === 'Opus') codec = 'opus';
      else if (name === 'HEVC') codec = 'h265';
    } else if (tag === 0x7f && data.length >= 2 && data[0] === 0x80) {
      // ETSI TS 103 491 / "Opus in MPEG-TS": channel_config_code; 1…8 is the number of channels, 0 dual mono.
      const code = data[1] ?? 0;
      channels = code === 0 ? 2 : code <= 8 ? code : 0;
    }
    at += 2 + bytes;
  }
  return { codec, latm: false, channels: codec === 'opus' ? channels || 2 : 0 };
}
