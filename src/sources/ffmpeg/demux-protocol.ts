import { assertNever } from '../../core/errors.ts';
import type { Codec } from '../../core/media.ts';
import { IpcFields, type IpcMessage } from '../../core/process/ipc.ts';
import { AUDIO_CODECS, VIDEO_CODECS } from '../../core/wants.ts';

/** What the server and the process that reads a file say to one another, in the framing of `core/process/ipc.ts`. */

export interface OpenOrder {
  /** As FFmpeg wants it: `file:/media/a.mp4`, `rtmp://…`. */
  readonly url: string;
  /** Begins again at the end, with times that go on. */
  readonly loop: boolean;
  /** Handed out as time passes, not as fast as it can be read. */
  readonly paced: boolean;
  readonly timeoutMs: number;
}

export interface DemuxedTrack {
  readonly codec: Codec;
  /** Ticks a second of its times. */
  readonly clockRateHz: number;
  /** 0 for video. */
  readonly sampleRateHz: number;
  readonly channels: number;
  /** FFmpeg's extradata: avcC, AudioSpecificConfig, …; or empty. */
  readonly config: Buffer;
}

export type FromDemuxer =
  /** `made`: what had to be decoded and coded anew, in words. */
  | {
      readonly type: 'tracks';
      readonly formatName: string;
      readonly made: readonly string[];
      readonly tracks: readonly DemuxedTrack[];
    }
  | {
      readonly type: 'unit';
      readonly track: number;
      readonly pts: number;
      readonly dts: number;
      readonly key: boolean;
      readonly data: Buffer;
    }
  /** The next unit is not due yet: it does not hang. */
  | { readonly type: 'waiting' }
  | { readonly type: 'end' }
  /** `open`: it can't be read at all; `media`: it holds nothing that can be shown; `broken`: it ended on the way. */
  | { readonly type: 'failed'; readonly fault: DemuxFault; readonly message: string }
  /** FFmpeg's libraries can't be loaded here. */
  | { readonly type: 'unavailable'; readonly message: string };

export type DemuxFault = 'open' | 'media' | 'broken';
const FAULTS: readonly DemuxFault[] = ['open', 'media', 'broken'];
const TYPES = ['tracks', 'unit', 'waiting', 'end', 'failed', 'unavailable'] as const;
const CODECS: readonly Codec[] = [...VIDEO_CODECS, ...AUDIO_CODECS];
const MAX_TRACKS = 2;
const MAX_TICKS = Number.MAX_SAFE_INTEGER;

/** @throws WireError */
export function parseOpen({ header }: IpcMessage): OpenOrder {
  const fields = new IpcFields(header);
  return {
    url: fields.text('url'),
    loop: fields.flag('loop'),
    paced: fields.flag('paced'),
    timeoutMs: fields.integer('timeoutMs', 1, 600_000),
  };
}

export function encodeFromDemuxer(message: FromDemuxer): { header: object; payload?: Buffer } {
  switch (message.type) {
    case 'tracks': {
      const { tracks, made, ...header } = message;
      const plain = tracks.map(({ config, ...track }) => ({ ...track, configBytes: config.length }));
      return {
        header: { ...header, made: made.join('; '), count: tracks.length, ...Object.fromEntries(plain.entries()) },
        payload: Buffer.concat(tracks.map(({ config }) => config)),
      };
    }
    case 'unit': {
      const { data, ...header } = message;
      return { header, payload: data };
    }
    case 'waiting':
    case 'end':
    case 'failed':
    case 'unavailable':
      return { header: message };
    default:
      return assertNever(message);
  }
}

/** @throws WireError */
export function parseFromDemuxer({ header, payload }: IpcMessage): FromDemuxer {
  const fields = new IpcFields(header);
  const type = fields.oneOf('type', TYPES);
  switch (type) {
    case 'tracks': {
      let at = 0;
      const tracks = Array.from({ length: fields.integer('count', 1, MAX_TRACKS) }, (_, index): DemuxedTrack => {
        const track = fields.object(String(index));
        const bytes = track.integer('configBytes', 0, payload.length - at);
        at += bytes;
        return {
          codec: track.oneOf('codec', CODECS),
          clockRateHz: track.integer('clockRateHz', 1, 1_000_000),
          sampleRateHz: track.integer('sampleRateHz', 0, 1_000_000),
          channels: track.integer('channels', 0, 64),
          config: payload.subarray(at - bytes, at),
        };
      });
      const made = fields.text('made');
      return { type, formatName: fields.text('formatName'), made: made === '' ? [] : made.split('; '), tracks };
    }
    case 'unit':
      return {
        type,
        track: fields.integer('track', 0, MAX_TRACKS - 1),
        pts: fields.integer('pts', -MAX_TICKS, MAX_TICKS),
        dts: fields.integer('dts', -MAX_TICKS, MAX_TICKS),
        key: fields.flag('key'),
        data: payload,
      };
    case 'waiting':
    case 'end':
      return { type };
    case 'failed':
      return { type, fault: fields.oneOf('fault', FAULTS), message: fields.text('message') };
    case 'unavailable':
      return { type, message: fields.text('message') };
    default:
      return assertNever(type);
  }
}
