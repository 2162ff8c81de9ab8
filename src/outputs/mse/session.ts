import { type CodecOffer, parseCodecTokens } from '../../core/codec-tokens.ts';
import type { Consumer } from '../../core/consumer.ts';
import type { Env, WsSession } from '../../core/contracts.ts';
import type { HearthcamError } from '../../core/errors.ts';
import { LiveMp4 } from '../../core/live-mp4.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import type { Quality } from '../../core/qualities.ts';
import { requestedQuality } from '../../core/requested-quality.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { mp4Mime } from '../../wire/mp4/mime.ts';
import { wsCloseFrame } from '../../wire/websocket/frame.ts';

/** RFC 6455 §7.4.1 and its registry: the client should connect again. */
const SERVICE_RESTART = 1012;

/**
 * Serves one `mse` request: MIME type as text, then init segment, cached GOP and live fragments as binary messages.
 * Ends with `scope`, or when the stream has nothing more for it.
 * @throws HearthcamError when the stream gives nothing that the client can play
 */
export async function serveMse(env: Env, session: WsSession, value: unknown, scope: Scope): Promise<void> {
  const stream = sessionStream(env, session);
  const wish = requestedQuality(env, stream.name, session.query.get('quality'));
  // Over TCP nothing is known of what the connection carries: `auto` is the stream that was named.
  const chosen = wish === null || wish === 'auto' ? { stream } : wish;
  await play(chosen, session, parseCodecTokens(value), scope);
}

/** What is played: a stream, or a picture made of it. */
type Chosen = Pick<Quality, 'stream' | 'picture'>;

async function play(asked: Chosen, session: WsSession, offer: CodecOffer, parent: Scope): Promise<void> {
  const scope = parent.child('viewer');
  try {
    const consumer = await openViewer(asked, session, offer, 'mse/fmp4', scope.signal, (reason) => {
      leave(asked, session, offer, parent, scope, reason);
    });
    scope.defer(() => consumer.close());
    const { stream } = consumer;
    const tracks = await knownFormats(stream, consumer.tracks, scope.signal);
    scope.signal.throwIfAborted();
    const shared = stream.share(LiveMp4.key(tracks), () => new LiveMp4(stream, tracks));
    scope.defer(() => shared.release());
    session.send('mse', mp4Mime(shared.value.formats));
    // Who knows qualities knows notices; go2rtc's clients need not be told.
    if (session.query.has('quality')) for (const notice of consumer.refused) session.send('notice', notice);
    const viewer = shared.value.add({
      socket: session.socket,
      consumer,
      framing: 'websocket',
      atOnce: true,
      onStuck: () => {
        session.log.warn(`viewer ${session.remoteAddr} (MSE) took nothing of "${stream.name}" for long: closed`);
        session.socket.destroy();
      },
    });
    scope.defer(() => shared.value.remove(viewer));
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** The stream that the socket's `src` means; a URL needs the right to configure. */
export function sessionStream(env: Env, session: WsSession): Stream {
  return requestedStream(env, { src: session.src, name: session.query.get('name') ?? undefined }, session.peer);
}

export function openViewer(
  { stream, picture }: Chosen,
  session: WsSession,
  offer: CodecOffer,
  formatName: string,
  signal: AbortSignal,
  onEnd: (reason: HearthcamError) => void,
): Promise<Consumer> {
  return stream.open({
    formatName,
    protocol: 'ws',
    remoteAddr: session.remoteAddr,
    ...(session.userAgent === undefined ? {} : { userAgent: session.userAgent }),
    wants: offer.wants,
    ...(picture === undefined ? {} : { picture }),
    need: 'picture',
    signal,
    onEnd,
  });
}

/**
 * The stream is over for this viewer. When only its codecs changed, a player of ours gets a new `mse` message and goes
 * on in place; others can't be told, and connect again by themselves when the socket closes.
 */
function leave(
  asked: Chosen,
  session: WsSession,
  offer: CodecOffer,
  parent: Scope,
  viewer: Scope,
  reason: HearthcamError,
): void {
  const again = reason.code === 'stream.changed' && offer.changesType && !parent.closed;
  viewer
    .close()
    .then(() => (again ? play(asked, session, offer, parent) : Promise.reject(reason)))
    .catch((error: unknown) => {
      if (parent.closed) return;
      session.fail('mse', error);
      session.socket.end(wsCloseFrame(SERVICE_RESTART, 'the stream changed'));
    });
}
