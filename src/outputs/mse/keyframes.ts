import { parseCodecTokens } from '../../core/codec-tokens.ts';
import type { Env, WsSession } from '../../core/contracts.ts';
import { type AccessUnit, type Track, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { knownFormats } from '../../core/mp4-tracks.ts';
import type { Scope } from '../../core/scope.ts';
import type { Stream } from '../../core/stream.ts';
import { DEFAULT_VIEWER_LIMITS, SocketViewer } from '../../core/viewer.ts';
import { mp4Mime } from '../../wire/mp4/mime.ts';
import { keyframeMp4 } from '../../wire/mp4/still.ts';
import { wsBinaryFrame } from '../../wire/websocket/frame.ts';
import { openViewer, sessionStream } from './session.ts';

/** All viewers of key frames of one track: each key frame is made into a file and framed once. */
class KeyframeFeed implements Disposable {
  readonly #track: Track;
  readonly #unsubscribe: () => void;
  readonly #viewers = new Set<(message: Buffer) => void>();
  #last: Buffer | undefined;

  constructor(stream: Stream, track: Track) {
    this.#track = track;
    this.#unsubscribe = stream.subscribe((units) => this.#onUnits(units));
    stream.settle();
    this.#onUnits(stream.gop().units);
  }

  add(viewer: (message: Buffer) => void): () => void {
    this.#viewers.add(viewer);
    if (this.#last !== undefined) viewer(this.#last);
    return () => this.#viewers.delete(viewer);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#viewers.clear();
  }

  #onUnits(units: readonly AccessUnit[]): void {
    const unit = units.findLast((one) => one.trackId === this.#track.id && one.key);
    if (unit === undefined || unit.format.kind !== 'video') return;
    this.#last = wsBinaryFrame(keyframeMp4(unit.format, unit.data, VIDEO_CLOCK_HZ));
    for (const viewer of this.#viewers) viewer(this.#last);
  }
}

/**
 * Serves one `mp4` request (for browsers without Media Source Extensions): the reply is called `mse` all the same
 * (compatibility.md 6.1), then each binary message is a whole file with one key frame.
 * @throws HearthcamError when the stream has no video that MP4 carries
 */
export async function serveKeyframes(env: Env, session: WsSession, value: unknown, scope: Scope): Promise<void> {
  const stream = sessionStream(env, session);
  const offer = {
    ...parseCodecTokens(value),
    wants: parseCodecTokens(value).wants.filter((want) => want.kind === 'video'),
  };
  const consumer = await openViewer({ stream }, session, offer, 'mp4', scope.signal, (reason) => {
    session.fail('mp4', reason);
    session.socket.end();
  });
  scope.defer(() => consumer.close());
  const [track] = await knownFormats(consumer.stream, consumer.tracks, scope.signal);
  scope.signal.throwIfAborted();
  if (track === undefined || track.format === null) return;
  const shared = consumer.stream.share(`keyframes:${track.id}`, () => new KeyframeFeed(consumer.stream, track));
  scope.defer(() => shared.release());
  session.send('mse', mp4Mime([track.format]));
  const out = new SocketViewer(session.socket, DEFAULT_VIEWER_LIMITS, performance.now(), () =>
    session.socket.destroy(),
  );
  scope.defer(
    shared.value.add((message) => {
      if (out.send(message, true, performance.now())) {
        consumer.bytesSent += message.length;
        consumer.unitsSent++;
      } else {
        consumer.unitsDropped++;
      }
    }),
  );
}
