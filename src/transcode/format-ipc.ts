import type { AudioFormat, TrackFormat, VideoFormat } from '../core/media.ts';
import type { IpcFields } from '../core/process/ipc.ts';
import { AUDIO_CODECS, VIDEO_CODECS } from '../core/wants.ts';

/** The parts of a format that are bytes, in this order in the payload: configuration record, VPS, SPS, PPS. */
export interface EncodedFormat {
  readonly fields: object;
  readonly payload: Buffer;
}

/** A track's format for a message between the server and the codec process. */
export function encodeFormat(format: TrackFormat): EncodedFormat {
  if (format.kind === 'audio') {
    const { kind, codec, clockRateHz, sampleRateHz, channels, codecString, config } = format;
    return { fields: { kind, codec, clockRateHz, sampleRateHz, channels, codecString }, payload: config };
  }
  const { kind, codec, width, height, codecString, reorderDepth, config, parameterSets } = format;
  const { vps, sps, pps } = parameterSets;
  const sizes = [config, ...vps, ...sps, ...pps].map((part) => part.length);
  return {
    fields: {
      kind,
      codec,
      width,
      height,
      codecString,
      reorderDepth,
      sets: [vps.length, sps.length, pps.length],
      sizes,
    },
    payload: Buffer.concat([config, ...vps, ...sps, ...pps]),
  };
}

/** @throws WireError */
export function parseFormat(fields: IpcFields, payload: Buffer): TrackFormat {
  const kind = fields.oneOf('kind', ['video', 'audio']);
  return kind === 'audio' ? parseAudio(fields, payload) : parseVideo(fields, payload);
}

function parseAudio(fields: IpcFields, payload: Buffer): AudioFormat {
  return {
    kind: 'audio',
    codec: fields.oneOf('codec', AUDIO_CODECS),
    clockRateHz: fields.integer('clockRateHz', 1, 1_000_000),
    sampleRateHz: fields.integer('sampleRateHz', 1, 1_000_000),
    channels: fields.integer('channels', 1, 64),
    codecString: fields.text('codecString'),
    config: payload,
  };
}

function parseVideo(fields: IpcFields, payload: Buffer): VideoFormat {
  const sizes = fields.integers('sizes', 0, payload.length);
  const [vpsCount = 0, spsCount = 0, ppsCount = 0] = fields.integers('sets', 0, sizes.length);
  let at = 0;
  const parts = sizes.map((size) => {
    at += size;
    return payload.subarray(at - size, at);
  });
  const take = (count: number): Buffer[] => parts.splice(0, count);
  const [config = payload.subarray(0, 0)] = take(1);
  return {
    kind: 'video',
    codec: fields.oneOf('codec', VIDEO_CODECS),
    clockRateHz: 90_000,
    width: fields.integer('width', 0, 65_535),
    height: fields.integer('height', 0, 65_535),
    codecString: fields.text('codecString'),
    parameterSets: { vps: take(vpsCount), sps: take(spsCount), pps: take(ppsCount) },
    config,
    reorderDepth: fields.integer('reorderDepth', 0, 1_000),
  };
}
