import type { ConsumerInfo } from '../../core/consumer.ts';
import type { Env } from '../../core/contracts.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import type { Stream } from '../../core/stream.ts';
import type { Variant } from '../../wire/m3u8/playlist.ts';
import { writeMasterPlaylist } from '../../wire/m3u8/write.ts';
import type { VariantFacts } from './muxer.ts';
import type { HlsSession, HlsSessions } from './sessions.ts';

/** A smaller picture of the same camera that was never seen before is waited for so long. */
const FIRST_SIGHT_MS = 1_000;
/** Bit rates are announced with this margin: a scene that moves needs more than the one that was measured. */
const MARGIN = 1.2;
const LEAST_BPS = 64_000;

/**
 * The multivariant playlist of a stream: itself and the smaller streams of the same camera, so that a player can
 * choose by its bandwidth without anything being encoded for it.
 * @throws HearthcamError when the stream can't be reached or has nothing that fits
 */
export async function masterPlaylist(
  env: Env,
  sessions: HlsSessions,
  stream: Stream,
  wants: readonly MediaWant[],
  who: ConsumerInfo,
): Promise<string> {
  const names = env.cameras.variants(stream.name);
  const others = names
    .slice(names.indexOf(stream.name) + 1)
    .map((name) => env.hub.get(name))
    .filter((other): other is Stream => other !== undefined && other !== stream)
    .map((other) => sessions.for(other, wants));
  const own = sessions.for(stream, wants);
  const unseen = others.filter((session) => session.facts === undefined);
  const waits = unseen.map((session) => sessions.warm(session, who));
  await own.open(who);
  if (waits.length > 0) await Promise.race([Promise.all(waits), pause(FIRST_SIGHT_MS)]);
  const variants = [own, ...others].flatMap((session) => {
    const { facts } = session;
    return facts === undefined ? [] : [describe(session, facts)];
  });
  return writeMasterPlaylist({ kind: 'master', independentSegments: true, variants, renditions: [] });
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
