import type { AccessUnit } from '../core/media.ts';
import type { MediaWant } from '../core/negotiate.ts';
import { decodeAlaw, decodeUlaw } from '../wire/g711/g711.ts';
import type { Pcm } from './audio/feed.ts';
import { EAR_RATE_HZ } from './audio/resampler.ts';

/** Sound that is taken as it is; everything else is made into what the ear hears, in the codec process. */
export const SOUND_WANT: MediaWant = {
  kind: 'audio',
  codecs: ['l16', 'pcma', 'pcmu'],
  shapes: [
    { codec: 'l16', sampleRateHz: EAR_RATE_HZ, channels: 1 },
    { codec: 'pcma' },
    { codec: 'pcmu' },
    { codec: 'l16' },
  ],
};

/** The samples of a unit of G.711 or L16; null for anything else. */
export function pcmOf({ format, data, wallMs }: AccessUnit): Pcm | null {
  if (format.kind !== 'audio') return null;
  const { sampleRateHz, channels } = format;
  const samples = samplesOf(format.codec, data);
  return samples === null ? null : { samples, sampleRateHz, channels, atMs: wallMs };
}

function samplesOf(codec: string, data: Buffer): Int16Array | null {
  switch (codec) {
    case 'pcma':
      return decodeAlaw(data);
    case 'pcmu':
      return decodeUlaw(data);
    case 'l16': {
      // RFC 3551 §4.5.11: network byte order.
      const samples = new Int16Array(data.length >> 1);
      for (let index = 0; index < samples.length; index++) samples[index] = data.readInt16BE(index * 2);
      return samples;
    }
    default:
      return null;
  }
}
