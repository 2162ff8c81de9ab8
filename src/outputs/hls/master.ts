import { madeSize } from '../../core/bitrate.ts';
import type { ConsumerInfo } from '../../core/consumer.ts';
import type { Env } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { isEnlarged, qualitiesOf } from '../../core/qualities.ts';
import type { Stream } from '../../core/stream.ts';
import type { VideoTarget } from '../../core/targets.ts';
import type { Variant } from '../../wire/m3u8/playlist.ts';
import { writeMasterPlaylist } from '../../wire/m3u8/write.ts';
import { renditionFacts } from './estimate.ts';
import type { VariantFacts } from './muxer.ts';
import type { HlsSession, HlsSessions } from './sessions.ts';

/** A smaller picture of the same camera that was never seen before is waited for so long. */
const FIRST_SIGHT_MS = 1_000;
/** Bit rates are announced with this margin: a scene that moves needs more than the one that was measured. */
const MARGIN = 1.2;
const LEAST_BPS = 64_000;

/**
 * The multivariant playlist of a stream: itself, the renditions that would be made of it (nothing is made for the
 * playlist), and the smaller streams of the same camera, so that a player can choose by its bandwidth.
 * @throws HearthcamError when the stream can't be reached or has nothing that fits
 */
export async function masterPlaylist(
  env: Env,
  sessions: HlsSessions,
  stream: Stream,
  wants: readonly MediaWant[],
  who: ConsumerInfo,
): Promise<string> {
  const own = sessions.for({ stream, wants });
  // Before the stream itself starts, so that it shares its time line with them.
  const made = renditionsOf(env, stream, wants).map((picture) => sessions.for({ stream, wants, picture }));
  const others = smallerOf(env, stream).map((other) => sessions.for({ stream: other, wants }));
  const unseen = others.filter((session) => session.facts === undefined);
  const waits = unseen.map((session) => sessions.warm(session, who));
  const base = await openBest([own, ...made], who);
  for (const { name, picture } of env.renditions.of(stream.name)) {
    if (isEnlarged(stream, picture)) {
      sessions.tellOnce(`rendition "${name}" of "${stream.name}" is not offered: it would be larger than the picture`);
    }
  }
  if (waits.length > 0) await Promise.race([Promise.all(waits), pause(FIRST_SIGHT_MS)]);
  // A browser that lacks the camera's codec sorts out what it can't play, and must find something that is left.
  const common = commonOf(stream, wants).map((picture) => sessions.for({ stream, wants, picture }));
  const variants = [own, ...common, ...made, ...others].flatMap((session) => {
    const facts = session.picture === undefined ? session.facts : factsOf(session, session.picture, stream, base);
    return facts === undefined ? [] : [describe(session, facts)];
  });
  return writeMasterPlaylist({ kind: 'master', independentSegments: true, variants, renditions: [] });
}

/** The stream itself; a rendition of it where the viewer can't take what the camera sends. */
async function openBest(candidates: readonly HlsSession[], who: ConsumerInfo): Promise<VariantFacts> {
  let first: unknown;
  for (const session of candidates) {
    try {
      return (await session.open(who)).facts();
    } catch (error) {
      first ??= error;
      if (!(error instanceof HearthcamError) || !/^(stream|hls)\.codecs$/.test(error.code)) break;
    }
  }
  throw first;
}

function factsOf(
  session: HlsSession,
  picture: VideoTarget,
  stream: Stream,
  base: VariantFacts,
): VariantFacts | undefined {
  return isEnlarged(stream, picture)
    ? undefined
    : renditionFacts(picture, madeSize(stream, picture), base, session.facts);
}

/** Pictures that are made of the stream in a codec that the viewer takes. */
function renditionsOf(env: Env, stream: Stream, wants: readonly MediaWant[]): readonly VideoTarget[] {
  const takes = (picture: VideoTarget): boolean =>
    wants.some(({ kind, codecs }) => kind === 'video' && (codecs === 'any' || codecs.includes(picture.codec)));
  return qualitiesOf(env, stream.name).flatMap((one) =>
    one.stream === stream && one.picture !== undefined && takes(one.picture) ? [one.picture] : [],
  );
}

/** The same picture in H.264, where the camera sends another codec and the owner has that made. */
function commonOf(stream: Stream, wants: readonly MediaWant[]): readonly VideoTarget[] {
  const taken = wants.some(({ kind, codecs }) => kind === 'video' && (codecs === 'any' || codecs.includes('h264')));
  return taken && stream.wouldMake({ kind: 'video', codecs: ['h264'] }) ? [{ kind: 'video', codec: 'h264' }] : [];
}

function smallerOf(env: Env, stream: Stream): readonly Stream[] {
  const names = env.cameras.variants(stream.name);
  return names
    .slice(names.indexOf(stream.name) + 1)
    .map((name) => env.hub.get(name))
    .filter((other): other is Stream => other !== undefined && other !== stream);
}

function describe(session: HlsSession, facts: VariantFacts): Variant {
  return {
    uri: `hls/playlist.m3u8?id=${session.id}`,
    bandwidth: Math.max(LEAST_BPS, facts.peakBps * MARGIN),
    averageBandwidth: Math.max(LEAST_BPS, facts.averageBps),
    codecs: facts.codecs,
    ...(facts.width > 0 && facts.height > 0 ? { width: facts.width, height: facts.height } : {}),
    ...(facts.frameRate === undefined ? {} : { frameRate: facts.frameRate }),
  };
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs).unref());
}
