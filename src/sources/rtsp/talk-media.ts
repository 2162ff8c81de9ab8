import type { AudioCodec } from '../../core/media.ts';
import type { TalkCodec } from '../../core/source.ts';
import { codecOfEncoding, rtpMedia } from '../../wire/sdp/media.ts';
import type { SdpSession } from '../../wire/sdp/parse.ts';

/** A form of sound that a camera takes, with where and how it wants it. */
export interface TalkMedium {
  readonly codec: TalkCodec;
  /** `a=control` of its medium. */
  readonly control: string | undefined;
  readonly payloadType: number;
  /** Reolink's own server, which wants G.711 in packets of 1024 samples (AlexxIT/go2rtc#331, #2353). */
  readonly longPackets: boolean;
}

const SENT: ReadonlySet<AudioCodec> = new Set<AudioCodec>(['pcma', 'pcmu', 'aac', 'opus', 'l16', 'g722']);

/**
 * The forms of sound that a camera takes, in its order. Its back channel is the audio marked `sendonly`, seen from the
 * client (ONVIF Streaming Specification §5.3.2). Where the video is marked so too, the camera means itself
 * (AlexxIT/go2rtc#771), and its back channel, if there is one, can't be told.
 */
export function findTalkMedia(session: SdpSession): TalkMedium[] {
  if (session.media.some((one) => one.kind === 'video' && one.direction === 'sendonly')) return [];
  const longPackets = session.attributes.some(({ name, value }) => name === 'tool' && value.startsWith('BC Streaming'));
  const found: TalkMedium[] = [];
  for (const medium of session.media) {
    if (medium.kind !== 'audio' || medium.direction !== 'sendonly') continue;
    for (const format of medium.formats) {
      const media = rtpMedia('audio', format);
      const codec = codecOfEncoding('audio', format.encoding);
      if (media === null || codec === undefined || !isSent(codec) || format.encoding === 'MP4A-LATM') continue;
      const { clockRateHz } = media;
      found.push({
        codec: {
          codec,
          clockRateHz,
          // RFC 3551 §4.5.2: the clock of G.722 is said to be half of its rate.
          sampleRateHz: codec === 'g722' ? 16_000 : clockRateHz,
          channels: codec === 'opus' ? 2 : Math.max(1, format.channels),
        },
        control: medium.control,
        payloadType: format.payloadType,
        longPackets,
      });
    }
  }
  return found;
}

function isSent(codec: string): codec is AudioCodec {
  const names: ReadonlySet<string> = SENT;
  return names.has(codec);
}
