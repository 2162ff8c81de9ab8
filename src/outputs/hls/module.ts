import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseCodecTokens } from '../../core/codec-tokens.ts';
import type { Env, OutputModule, Peer, Right } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { viewerOf } from '../../core/live-response.ts';
import type { AudioCodec } from '../../core/media.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { qualitiesOf } from '../../core/qualities.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import type { Scope } from '../../core/scope.ts';
import { wantsFromQuery } from '../../core/wants.ts';
import type { RenditionReport } from '../../wire/m3u8/playlist.ts';
import { masterPlaylist } from './master.ts';
import { mediaPlaylist } from './media-playlist.ts';
import type { HlsMuxer } from './muxer.ts';
import { type HlsSession, HlsSessions } from './sessions.ts';

const PLAYLIST = 'application/vnd.apple.mpegurl';
/** Players that don't know parts need a complete segment, or they give up at once. */
const WHOLE_SEGMENTS = /^(Lavf|VLC|LibVLC|GStreamer|mpv|Kodi|MPlayer)|libmpv|souphttpsrc/i;
const WHOLE_SEGMENT_TIMEOUT_MS = 20_000;
/**
 * hls.js takes a playlist of parts alone for an error and asks again later. A player that changes over has pictures of
 * the other variant to show meanwhile.
 */
const CHANGE_OVER_TIMEOUT_MS = 5_000;
/** A request waits no longer than so many target durations (§6.2.5.2: three). */
const BLOCK_TARGETS = 3;

/** Low-Latency HLS with fragmented MP4 (RFC 8216bis; compatibility.md 1.4). */
export const hls: OutputModule = {
  name: 'hls',
  start(env: Env, _config: unknown, scope: Scope): void {
    const sessions = new HlsSessions(env.hub, env.log, scope);
    const get = (path: string, serve: (request: FastifyRequest, reply: FastifyReply, peer: Peer) => unknown): void => {
      const right: Right = 'view';
      env.routes.route({
        methods: ['GET', 'OPTIONS'],
        path,
        right,
        handler: (request, reply, peer) => {
          // Players on other pages (Chromecast, cards) fetch these; compatibility.md 1.4.
          reply.header('access-control-allow-origin', '*').header('access-control-allow-headers', '*');
          return request.method === 'OPTIONS' ? reply.code(200).send('') : serve(request, reply, peer);
        },
      });
    };

    get('/api/stream.m3u8', async (request, reply, peer) => {
      const params = paramsOf(request);
      const stream = requestedStream(
        env,
        { src: params.get('src') ?? undefined, name: params.get('name') ?? undefined },
        peer,
      );
      const text = await masterPlaylist(env, sessions, stream, readWants(params), viewerOf(request, peer, 'hls/fmp4'));
      return reply.type(PLAYLIST).header('cache-control', 'no-store').send(text);
    });
    get('/api/hls/playlist.m3u8', async (request, reply, peer) => {
      const text = await servePlaylist(env, sessions, request, peer);
      return reply.type(PLAYLIST).header('cache-control', 'no-store').send(text);
    });
    get('/api/hls/init.mp4', async (request, reply, peer) => {
      const params = paramsOf(request);
      const session = sessions.require(params.get('id') ?? undefined);
      const muxer = session.muxer ?? (await session.open(viewerOf(request, peer, 'hls/fmp4')));
      session.touch();
      const data = muxer.init(readWhole(params, 'v') ?? muxer.initVersion);
      if (data === undefined) throw notFound('init segment');
      return reply.type('video/mp4').header('cache-control', 'max-age=60').send(data);
    });
    get('/api/hls/segment.m4s', async (request, reply) => {
      const params = paramsOf(request);
      const session = sessions.require(params.get('id') ?? undefined);
      const buffers = await findMedia(session, params);
      return sendMedia(session, reply, buffers);
    });

    env.routes.message({
      type: 'hls',
      right: 'view',
      async handler(session, value) {
        const { src, query, peer, remoteAddr, userAgent } = session;
        const stream = requestedStream(env, { src, name: query.get('name') ?? undefined }, peer);
        const who = { formatName: 'hls/fmp4', protocol: 'http', remoteAddr };
        const full = userAgent === undefined ? who : { ...who, userAgent };
        session.send('hls', await masterPlaylist(env, sessions, stream, parseCodecTokens(value).wants, full));
      },
    });
  },
};

/** Without a filter (where go2rtc gives MPEG-TS) and with `mp4`: the usual codecs, and PCM as FLAC. */
function readWants(params: URLSearchParams): readonly MediaWant[] {
  if (params.has('video') || params.has('audio')) return wantsFromQuery(params);
  const audio: AudioCodec[] = ['aac', 'pcma', 'pcmu', 'l16', 'flac'];
  if ((params.get('mp4') ?? '').includes('all')) audio.push('opus', 'mp3');
  return [
    { kind: 'video', codecs: ['h264', 'h265', 'av1', 'vp9'] },
    { kind: 'audio', codecs: audio },
  ];
}

async function servePlaylist(env: Env, sessions: HlsSessions, request: FastifyRequest, peer: Peer): Promise<string> {
  const params = paramsOf(request);
  const session = sessions.require(params.get('id') ?? undefined);
  const muxer = await session.open(viewerOf(request, peer, 'hls/fmp4'));
  const sequence = readWhole(params, '_HLS_msn');
  const part = readWhole(params, '_HLS_part');
  if (sequence !== undefined) await blockUntil(session, muxer, sequence, part);
  else {
    const waitMs = wholeSegmentWaitMs(session, request.headers['user-agent'] ?? '');
    if (waitMs > 0) await muxer.wait(() => muxer.window.segments[0]?.closed === true, waitMs);
  }
  session.touch();
  const skip = params.get('_HLS_skip');
  return mediaPlaylist(muxer, {
    id: session.id,
    skip: skip === 'YES' || skip === 'v2',
    reports: reportsOf(env, sessions, session),
  });
}

/** How long a playlist of parts alone is held back. */
function wholeSegmentWaitMs(session: HlsSession, userAgent: string): number {
  if (WHOLE_SEGMENTS.test(userAgent)) return WHOLE_SEGMENT_TIMEOUT_MS;
  return session.grouped ? CHANGE_OVER_TIMEOUT_MS : 0;
}

/**
 * RFC 8216bis §6.2.5.2. When the camera is away the time ends, and the playlist is given as it is: an error (503) would
 * make hls.js give up after three of them, and its viewers would not see the camera return.
 * @throws HearthcamError 400 for what lies too far ahead, 404 when the stream has ended
 */
async function blockUntil(
  session: HlsSession,
  muxer: HlsMuxer,
  sequence: number,
  part: number | undefined,
): Promise<void> {
  const last = muxer.window.segments.at(-1)?.sequence ?? 0;
  if (sequence > last + 2) {
    throw new HearthcamError('hls.ahead', `segment ${sequence} is too far ahead of ${last}`, { status: 400 });
  }
  const timeoutMs = BLOCK_TARGETS * muxer.window.targetDurationS * 1000;
  const there = await muxer.wait(() => muxer.has(sequence, part), timeoutMs);
  if (!there && muxer.ended) {
    throw new HearthcamError('hls.ended', `stream "${session.streamName}" has ended`, { status: 404 });
  }
}

/** Where the other variants of the camera stand, so that a player can change over without asking (§4.4.5.4). */
function reportsOf(env: Env, sessions: HlsSessions, own: HlsSession): RenditionReport[] {
  const reports: RenditionReport[] = [];
  for (const { stream, picture } of qualitiesOf(env, own.streamName)) {
    const other = sessions.find({ stream, wants: own.wants, picture });
    const last = other?.muxer?.window.segments.findLast((segment) => segment.parts.length > 0);
    if (other === undefined || other === own || last === undefined) continue;
    reports.push({
      uri: `playlist.m3u8?id=${other.id}`,
      lastSequence: last.sequence,
      lastPart: last.parts.length - 1,
    });
  }
  return reports;
}

/** The bytes of `part=` (waits for it when it is the next one) or of the complete segment `n=`. */
async function findMedia(session: HlsSession, params: URLSearchParams): Promise<readonly Buffer[]> {
  const { muxer } = session;
  session.touch();
  if (muxer === undefined) throw notFound('segment');
  const index = readWhole(params, 'part');
  if (index !== undefined) {
    if (index === muxer.window.nextPart) {
      await muxer.wait(() => muxer.window.nextPart > index, BLOCK_TARGETS * muxer.window.targetDurationS * 1000);
      session.touch();
    }
    const part = muxer.window.findPart(index);
    if (part === undefined) throw notFound('part');
    return [part.data];
  }
  const segment = muxer.window.find(readWhole(params, 'n') ?? -1);
  if (segment === undefined || !segment.closed) throw notFound('segment');
  return segment.parts.map((part) => part.data);
}

/** Several buffers as one body, without gluing them together first. */
function sendMedia(session: HlsSession, reply: FastifyReply, buffers: readonly Buffer[]): FastifyReply {
  let bytes = 0;
  for (const buffer of buffers) bytes += buffer.length;
  session.count(bytes);
  reply.type('video/iso.segment').header('content-length', bytes).header('cache-control', 'max-age=60');
  const [only] = buffers;
  if (only !== undefined && buffers.length === 1) return reply.send(only);
  reply.hijack();
  const { raw } = reply;
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200);
  raw.cork();
  for (const buffer of buffers) raw.write(buffer);
  raw.end();
  raw.uncork();
  return reply;
}

function paramsOf(request: FastifyRequest): URLSearchParams {
  return new URL(request.url, 'http://localhost').searchParams;
}

function readWhole(params: URLSearchParams, key: string): number | undefined {
  const text = params.get(key);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new HearthcamError('hls.query', `${key}=${text.slice(0, 40)} is no number`, { status: 400 });
  }
  return Number(text);
}

function notFound(what: string): HearthcamError {
  return new HearthcamError('hls.gone', `${what} not found: it is too old, or does not exist yet`, { status: 404 });
}
