import { WireError } from '../../core/errors.ts';
import type { AudioFormat, TrackFormat, VideoFormat } from '../../core/media.ts';

/** How a track is named in SDP. */
export interface SdpEncoding {
  /** As in the rtpmap: `H264`, `MPEG4-GENERIC`, `OPUS`, … */
  readonly encoding: string;
  readonly clockRateHz: number;
  /** 0: not written (video, and audio with one channel). */
  readonly channels: number;
  /** '' for none. */
  readonly fmtp: string;
  /** The fixed payload type of RFC 3551 where there is one for just this. */
  readonly staticPayloadType: number | undefined;
}

export interface SdpTrack extends SdpEncoding {
  readonly kind: 'video' | 'audio';
  readonly payloadType: number;
  /** e.g. `trackID=0`. */
  readonly control: string;
  readonly direction?: 'recvonly' | 'sendonly';
}

export interface SdpInput {
  readonly name: string;
  /** Changes with the description; any number. */
  readonly sessionId: number;
  /** Address in `o=` and `c=`; default `0.0.0.0` (RFC 2326 Appendix C.1.7). */
  readonly address?: string;
  readonly tracks: readonly SdpTrack[];
}

/**
 * Writes the session description of our RTSP server. @throws WireError when a text would break out of its line.
 */
export function buildSdp(input: SdpInput): string {
  const address = input.address ?? '0.0.0.0';
  const family = address.includes(':') ? 'IP6' : 'IP4';
  const lines = [
    'v=0',
    `o=- ${input.sessionId} 1 IN ${family} ${address}`,
    `s=${input.name === '' ? '-' : input.name}`,
    `c=IN ${family} ${address}`,
    't=0 0',
    'a=control:*',
    'a=range:npt=now-',
  ];
  for (const track of input.tracks) {
    const channels = track.channels > 1 ? `/${track.channels}` : '';
    lines.push(`m=${track.kind} 0 RTP/AVP ${track.payloadType}`);
    lines.push(`a=rtpmap:${track.payloadType} ${track.encoding}/${track.clockRateHz}${channels}`);
    if (track.fmtp !== '') lines.push(`a=fmtp:${track.payloadType} ${track.fmtp}`);
    if (track.direction !== undefined) lines.push(`a=${track.direction}`);
    lines.push(`a=control:${track.control}`);
  }
  for (const line of lines) {
    if (/\p{Cc}/u.test(line)) throw new WireError('sdp.build', `cannot write the line ${JSON.stringify(line)}`, 0);
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** Names a format for SDP, with parameter sets and configuration. Null for a codec that has no RTP payload format. */
export function sdpEncoding(format: TrackFormat): SdpEncoding | null {
  return format.kind === 'video' ? videoEncoding(format) : audioEncoding(format);
}

function videoEncoding(format: VideoFormat): SdpEncoding | null {
  const video = (encoding: string, fmtp: string, staticPayloadType?: number): SdpEncoding => ({
    encoding,
    clockRateHz: 90_000,
    channels: 0,
    fmtp,
    staticPayloadType,
  });
  const { sps, pps, vps } = format.parameterSets;
  switch (format.codec) {
    case 'h264': {
      // RFC 6184 §8.1; profile-level-id is bytes 1…3 of the SPS.
      const profile = sps[0]?.subarray(1, 4).toString('hex').toUpperCase();
      const parts = ['packetization-mode=1'];
      if (profile !== undefined && profile.length === 6) parts.push(`profile-level-id=${profile}`);
      if (sps.length > 0) parts.push(`sprop-parameter-sets=${base64List([...sps, ...pps])}`);
      return video('H264', parts.join(';'));
    }
    case 'h265': {
      // RFC 7798 §7.1
      const parts = [];
      if (vps.length > 0) parts.push(`sprop-vps=${base64List(vps)}`);
      if (sps.length > 0) parts.push(`sprop-sps=${base64List(sps)}`);
      if (pps.length > 0) parts.push(`sprop-pps=${base64List(pps)}`);
      return video('H265', parts.join(';'));
    }
    case 'jpeg':
      return video('JPEG', '', 26);
    case 'av1':
      return video('AV1', '');
    case 'vp8':
      return video('VP8', '');
    case 'vp9':
      return video('VP9', '');
    default:
      return format.codec satisfies never;
  }
}

function audioEncoding(format: AudioFormat): SdpEncoding | null {
  const audio = (encoding: string, fmtp = '', staticPayloadType?: number): SdpEncoding => ({
    encoding,
    clockRateHz: format.clockRateHz,
    channels: format.channels,
    fmtp,
    staticPayloadType,
  });
  const narrow = format.clockRateHz === 8000 && format.channels === 1;
  switch (format.codec) {
    case 'aac':
      // RFC 3640 §4.1; profile-level-id 1 is what every encoder writes, and decoders go by `config`.
      return audio(
        'MPEG4-GENERIC',
        `streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=${format.config.toString('hex').toUpperCase()}`,
      );
    case 'opus':
      // RFC 7587 §7: always 48000/2, stereo or not.
      return { ...audio('OPUS', format.channels > 1 ? 'sprop-stereo=1' : ''), clockRateHz: 48_000, channels: 2 };
    case 'pcma':
      return audio('PCMA', '', narrow ? 8 : undefined);
    case 'pcmu':
      return audio('PCMU', '', narrow ? 0 : undefined);
    case 'l16':
      return audio('L16');
    case 'mp3':
      return { ...audio('MPA', '', 14), clockRateHz: 90_000, channels: 0 };
    case 'g722':
      // RFC 3551 §4.5.2: the clock is said to be 8000 for historical reasons.
      return { ...audio('G722', '', 9), clockRateHz: 8000 };
    case 'g726':
      return audio('G726-32');
    case 'flac':
      return null;
    default:
      return format.codec satisfies never;
  }
}

function base64List(units: readonly Buffer[]): string {
  return units.map((unit) => unit.toString('base64')).join(',');
}
