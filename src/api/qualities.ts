import { madeSize, sizeOf, VideoRates } from '../core/bitrate.ts';
import type { Env } from '../core/contracts.ts';
import { type Quality, qualitiesOf } from '../core/qualities.ts';
import { queryOf, sendJson } from './reply.ts';

/** One of the pictures of a camera, as `GET /api/qualities?src=` tells it. */
export interface QualityJson {
  /** For `quality=`. */
  readonly name: string;
  /** The stream that it is, or is made of. */
  readonly stream: string;
  /** Pixels; 0 while unknown: nobody has watched it yet. */
  readonly width: number;
  readonly height: number;
  /** `h264`, `h265`, …; null while unknown. */
  readonly codec: string | null;
  /** Of the picture, measured or estimated; absent while unknown. */
  readonly kbps?: number;
  /** Made by this server while somebody watches it. */
  readonly made: boolean;
}

/** `GET /api/qualities?src=`: what `quality=` of `/api/ws` and `/api/webrtc` can name. */
export function mountQualities(env: Env): void {
  const rates = new VideoRates();
  env.routes.route({
    methods: ['GET', 'HEAD'],
    path: '/api/qualities',
    right: 'view',
    handler: (request, reply) => {
      const stream = env.hub.require(queryOf(request).get('src') ?? '');
      return sendJson(
        reply,
        qualitiesOf(env, stream.name).map((one) => describe(one, rates)),
      );
    },
  });
}

function describe(quality: Quality, rates: VideoRates): QualityJson {
  const { name, stream, picture } = quality;
  const { width, height } = picture === undefined ? sizeOf(stream) : madeSize(stream, picture);
  const codec = picture?.codec ?? stream.tracks.find((track) => track.kind === 'video')?.codec ?? null;
  const kbps = Math.round(rates.ofQuality(quality, performance.now()) / 1000);
  const made = picture !== undefined;
  return { name, stream: stream.name, width, height, codec, ...(kbps > 0 ? { kbps } : {}), made };
}
