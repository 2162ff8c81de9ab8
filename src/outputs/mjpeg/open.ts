import type { Consumer, ConsumerRequest } from '../../core/consumer.ts';
import type { Env } from '../../core/contracts.ts';
import { describeError, HearthcamError } from '../../core/errors.ts';
import { openForHttp } from '../../core/live-response.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { type Quality, qualitiesOf } from '../../core/qualities.ts';
import type { Stream } from '../../core/stream.ts';
import type { VideoTarget } from '../../core/targets.ts';
import type { MjpegQuery } from './query.ts';

export const ANY_VIDEO: readonly MediaWant[] = [{ kind: 'video', codecs: 'any' }];
const JPEG: readonly MediaWant[] = [{ kind: 'video', codecs: ['jpeg'] }];

/**
 * Opens a stream for JPEG pictures: those of the camera if it sends such and nothing else is asked for, else made ones.
 * Where none may or can be made it is the camera's own track, of which key frames can be shown.
 * @throws HearthcamError 400 when what is asked for can't be made, 5xx when the camera can't be reached
 */
export async function openPictures(
  env: Env,
  stream: Stream,
  query: MjpegQuery,
  request: ConsumerRequest,
): Promise<Consumer> {
  const variant = requestedVariant(env, stream, query.variant);
  const from = variant?.stream ?? stream;
  const shaped = variant?.picture !== undefined;
  const plain = await openForHttp(from, { ...request, wants: ANY_VIDEO, remake: false });
  if (plain.tracks[0]?.codec === 'jpeg' && !query.asked && !shaped) return plain;
  try {
    const made = await openMade(from, shapedBy(query.picture, variant), query.asked || shaped, request);
    plain.close();
    return made;
  } catch (error) {
    const wrong = error instanceof HearthcamError && error.status === 400;
    if (query.asked || wrong || request.signal?.aborted === true) {
      plain.close();
      throw error;
    }
    env.log.warn(`"${from.name}": no MJPEG can be made, only key frames are shown: ${describeError(error)}`);
    return plain;
  }
}

function openMade(stream: Stream, picture: VideoTarget, asked: boolean, request: ConsumerRequest): Promise<Consumer> {
  // The owner said how: `ffmpeg:cam#video=mjpeg#width=640` among the stream's own sources.
  const described = stream.recipes.some((one) => one.kind === 'video' && one.codec === 'jpeg');
  if (described && !asked) return openForHttp(stream, { ...request, wants: JPEG, need: 'all' });
  return openForHttp(stream, { ...request, wants: ANY_VIDEO, picture });
}

function shapedBy(picture: VideoTarget, variant: Quality | undefined): VideoTarget {
  const { width, height, rotate, flip } = variant?.picture ?? {};
  return {
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(rotate === undefined ? {} : { rotate }),
    ...(flip === undefined ? {} : { flip }),
    ...picture,
  };
}

/** @throws HearthcamError 400 for a picture that the camera hasn't got */
function requestedVariant(env: Env, stream: Stream, name: string | null): Quality | undefined {
  if (name === null || name === 'auto') return undefined;
  const all = qualitiesOf(env, stream.name);
  const found = all.find((one) => one.name === name);
  if (found !== undefined) return found;
  const text = `stream.mjpeg: quality=${name.slice(0, 40)} must be a number from 1 to 100, or a picture of the camera`;
  const names = ['auto', ...all.map((one) => one.name)].join(', ');
  throw new HearthcamError('mjpeg.query', text, { status: 400, hint: `there are: ${names}` });
}
