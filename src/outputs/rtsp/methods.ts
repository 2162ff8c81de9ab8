import type { Consumer } from '../../core/consumer.ts';
import type { Right } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { MediaWant } from '../../core/negotiate.ts';
import { PUBLISH_RIGHT } from '../../core/publish-right.ts';
import type { Stream } from '../../core/stream.ts';
import { formatTransport, parseTransport, type RtspRequest, type RtspTransport } from '../../wire/rtsp/index.ts';
import type { RtspConnection } from './connection.ts';
import { describeTracks, offer, wantsFor } from './describe.ts';
import type { TrackStart } from './layout.ts';
import { Player } from './player.ts';
import { type AnnouncedTrack, Publisher } from './publisher.ts';
import { TalkBack } from './talkback.ts';
import { parseTarget, type RtspTarget } from './target.ts';

interface Method {
  readonly right: Right;
  run(connection: RtspConnection, request: RtspRequest): void | Promise<void>;
}

/** All methods of the server, each with the right that it needs. What is not here is answered by 501. */
export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['OPTIONS', { right: 'view', run: options }],
  ['DESCRIBE', { right: 'view', run: describe }],
  ['SETUP', { right: 'view', run: setup }],
  ['PLAY', { right: 'view', run: play }],
  ['PAUSE', { right: 'view', run: pause }],
  ['TEARDOWN', { right: 'view', run: teardown }],
  ['GET_PARAMETER', { right: 'view', run: keepAlive }],
  ['SET_PARAMETER', { right: 'view', run: keepAlive }],
  ['ANNOUNCE', { right: PUBLISH_RIGHT, run: announce }],
  ['RECORD', { right: PUBLISH_RIGHT, run: record }],
]);
export const PUBLIC = [...METHODS.keys()].join(', ');

function options(connection: RtspConnection, request: RtspRequest): void {
  connection.respond(request, 200, { Public: PUBLIC, ...session(connection) });
}

function keepAlive(connection: RtspConnection, request: RtspRequest): void {
  connection.respond(request, 200, session(connection));
}

function session(connection: RtspConnection): { Session?: string } {
  const begun = connection.player?.ready === true || connection.publisher !== undefined;
  return begun ? { Session: connection.sessionHeader } : {};
}

async function describe(connection: RtspConnection, request: RtspRequest): Promise<void> {
  if (connection.player?.playing === true || connection.publisher !== undefined) {
    throw new HearthcamError('rtsp.state', 'DESCRIBE within a session', { status: 455 });
  }
  const target = parseTarget(request.url);
  const player = await openPlayer(connection, target);
  const talkback = await openTalkBack(connection, request, target, player);
  const { env } = connection.context;
  const sdp = describeTracks(player.tracks, talkback?.tracks ?? [], env.product, player.consumer.id);
  connection.respond(
    request,
    200,
    {
      'Content-Type': 'application/sdp',
      'Content-Base': `${withoutUser(request.url).replace(/\/+$/, '')}/`,
      'Cache-Control': 'no-cache',
    },
    Buffer.from(sdp),
  );
}

/**
 * Who asks for it by the header or by `backchannel=1`, and may, can speak to the camera through us.
 * @throws HearthcamError 551 for who needs it where it is not to be had (ONVIF Streaming Specification §5.3.2)
 */
async function openTalkBack(
  connection: RtspConnection,
  request: RtspRequest,
  target: RtspTarget,
  player: Player,
): Promise<TalkBack | undefined> {
  const required = request.headers.get('require') !== undefined;
  if (!required && target.query.get('backchannel') !== '1') return undefined;
  const stream = findStream(connection, target);
  const may = connection.context.env.access.allows(connection.peer, 'talk', stream.name);
  const codecs = may ? await stream.talk.codecs(connection.closed.signal) : [];
  if (codecs.length === 0) {
    if (required) throw new HearthcamError('rtsp.talk', `"${stream.name}" can't be spoken to`, { status: 551 });
    return undefined;
  }
  const { remoteAddr, userAgent } = connection;
  connection.talkback = new TalkBack({ stream, remoteAddr, userAgent, firstTrack: player.tracks.length });
  return connection.talkback;
}

async function openPlayer(connection: RtspConnection, target: RtspTarget): Promise<Player> {
  connection.endSession();
  const { config, limits } = connection.context;
  const stream = findStream(connection, target);
  const consumer = await openConsumer(connection, stream, wantsFor(target.query, config.default_query));
  try {
    const tracks = await offer(consumer.stream, consumer.tracks, connection.closed.signal);
    const asked = Number(target.query.get('pkt_size') ?? config.pkt_size);
    const packetBytes = Number.isInteger(asked) && asked >= 0 && asked <= 65_000 ? asked : config.pkt_size;
    const player = new Player({ consumer, tracks, packetBytes, limits });
    connection.player = player;
    return player;
  } catch (error) {
    consumer.close();
    throw error;
  }
}

/** @throws HearthcamError 404, go2rtc's answer to no fitting codec and a dead camera alike (compatibility.md 2) */
async function openConsumer(
  connection: RtspConnection,
  stream: Stream,
  wants: readonly MediaWant[],
): Promise<Consumer> {
  try {
    return await stream.open({
      formatName: 'rtsp',
      protocol: 'rtsp+tcp',
      remoteAddr: connection.remoteAddr,
      ...(connection.userAgent === undefined ? {} : { userAgent: connection.userAgent }),
      wants,
      onEnd: (reason) => {
        connection.context.log.info(`RTSP ${connection.remoteAddr}: ${reason.message}`);
        connection.close();
      },
      signal: connection.closed.signal,
    });
  } catch (error) {
    throw new HearthcamError('rtsp.source', `stream "${stream.name}" gives nothing`, { cause: error, status: 404 });
  }
}

/** @throws HearthcamError 404 */
function findStream(connection: RtspConnection, target: RtspTarget): Stream {
  const { hub } = connection.context.env;
  for (const name of target.names) {
    const stream = hub.get(name);
    if (stream !== undefined) return stream;
  }
  return hub.require(target.names[0] ?? '');
}

async function setup(connection: RtspConnection, request: RtspRequest): Promise<void> {
  const transports = parseTransport(request.headers.get('transport') ?? '').filter(
    (transport) => transport.lower !== 'other' && !transport.multicast && !transport.profile.endsWith('SAVP'),
  );
  const [transport] = transports;
  if (transport === undefined) {
    throw new HearthcamError('rtsp.transport', `no way that we can send by: ${request.headers.get('transport')}`, {
      status: 461,
    });
  }
  if (connection.publisher !== undefined) {
    await setupPublisher(connection, request, connection.publisher, transport);
    return;
  }
  const target = parseTarget(request.url);
  // A client that knows the stream may leave DESCRIBE out.
  const player = connection.player ?? (await openPlayer(connection, target));
  const index = target.track ?? (player.tracks.length === 1 ? 0 : -1);
  const { talkback } = connection;
  if (talkback?.has(index) === true) {
    setUpTalk(connection, request, talkback, transport, index);
    return;
  }
  if (player.tracks[index] === undefined) {
    throw new HearthcamError('rtsp.track', `no track ${target.track ?? ''} in "${request.url}"`, { status: 400 });
  }
  let answer: RtspTransport;
  if (transport.lower === 'tcp') {
    const [rtp, rtcp] = transport.interleaved ?? player.freeChannels(index);
    player.setUp(index, { kind: 'tcp', rtp, rtcp });
    answer = { lower: 'tcp', profile: 'RTP/AVP', multicast: false, interleaved: [rtp, rtcp] };
  } else {
    const { clientPort } = transport;
    if (clientPort === undefined) {
      throw new HearthcamError('rtsp.transport', 'SETUP over UDP without client_port', { status: 461 });
    }
    // Packets go to the peer itself and nowhere else, whatever `destination` says (RFC 2326 §16: amplification).
    const address = connection.remoteAddress;
    const pair = await connection.context.udp.open(connection.localAddress);
    const [rtpPort, rtcpPort] = clientPort;
    player.setUp(index, { kind: 'udp', pair, address, rtpPort, rtcpPort });
    connection.context.udp.remember(connection, address, [rtpPort, rtcpPort]);
    answer = {
      lower: 'udp',
      profile: 'RTP/AVP',
      multicast: false,
      clientPort: [rtpPort, rtcpPort],
      serverPort: [pair.rtpPort, pair.rtcpPort],
    };
  }
  connection.respond(request, 200, { Transport: formatTransport(answer), Session: connection.sessionHeader });
}

function setUpTalk(
  connection: RtspConnection,
  request: RtspRequest,
  talkback: TalkBack,
  transport: RtspTransport,
  index: number,
): void {
  if (transport.lower !== 'tcp') {
    throw new HearthcamError('rtsp.transport', 'talk comes over TCP only', { status: 461 });
  }
  const [rtp, rtcp] = transport.interleaved ?? [index * 2, index * 2 + 1];
  talkback.setUp(index, rtp);
  const answer: RtspTransport = { lower: 'tcp', profile: 'RTP/AVP', multicast: false, interleaved: [rtp, rtcp] };
  connection.respond(request, 200, { Transport: formatTransport(answer), Session: connection.sessionHeader });
}

function play(connection: RtspConnection, request: RtspRequest): void {
  const { player } = connection;
  const talks = connection.talkback?.ready === true;
  if (player === undefined || !(player.ready || talks)) {
    throw new HearthcamError('rtsp.state', 'PLAY before SETUP', { status: 455 });
  }
  const headers = { Session: connection.sessionHeader, Range: 'npt=now-' };
  if (player.playing || !player.ready) {
    connection.respond(request, 200, headers);
    return;
  }
  const base = withoutUser(request.url).replace(/\/+$/, '');
  player.play(
    connection.socket,
    (starts) => connection.respond(request, 200, { ...headers, 'RTP-Info': rtpInfo(base, starts) }),
    () => {
      const { log } = connection.context;
      log.warn(
        `viewer ${connection.remoteAddr} (RTSP) of "${player.consumer.stream.name}" took nothing for long: closed`,
      );
      connection.close();
    },
  );
}

/** RFC 2326 §12.33. */
function rtpInfo(base: string, starts: ReadonlyMap<number, TrackStart>): string {
  return [...starts]
    .map(([index, { sequence, rtpTime }]) => {
      const time = rtpTime === undefined ? '' : `;rtptime=${rtpTime}`;
      return `url=${base}/trackID=${index};seq=${sequence}${time}`;
    })
    .join(',');
}

function pause(connection: RtspConnection, request: RtspRequest): void {
  if (connection.publisher !== undefined) {
    throw new HearthcamError('rtsp.state', 'PAUSE while publishing', { status: 455 });
  }
  connection.player?.pause();
  connection.respond(request, 200, session(connection));
}

function teardown(connection: RtspConnection, request: RtspRequest): void {
  connection.respond(request, 200, session(connection));
  // The connection stays for the client to close: GStreamer may send a PAUSE behind it and takes its end for a failure.
  connection.endSession();
}

function announce(connection: RtspConnection, request: RtspRequest): void {
  if (connection.player !== undefined || connection.publisher !== undefined) {
    throw new HearthcamError('rtsp.state', 'ANNOUNCE within a session', { status: 455 });
  }
  const target = parseTarget(request.url);
  const timeoutS = Number(target.query.get('timeout') ?? 0);
  if (timeoutS > 0 && timeoutS <= 3600) connection.publishTimeoutMs = timeoutS * 1000;
  const publisher: Publisher = new Publisher({
    stream: connection.claimExpected(request.url) ?? findStream(connection, target),
    sdp: request.body.toString('utf8'),
    remoteAddr: connection.remoteAddr,
    remoteAddress: connection.remoteAddress,
    localAddress: connection.localAddress,
    userAgent: connection.userAgent,
    log: connection.context.log,
    sendInterleaved: (channel, packet) => connection.sendInterleaved(channel, packet),
    onAlive: () => connection.seen(),
    onStop: () => connection.close(),
  });
  connection.publisher = publisher;
  connection.respond(request, 200, { Session: connection.sessionHeader });
}

async function setupPublisher(
  connection: RtspConnection,
  request: RtspRequest,
  publisher: Publisher,
  transport: RtspTransport,
): Promise<void> {
  const track = findAnnounced(publisher.tracks, request.url);
  const index = publisher.tracks.indexOf(track);
  let answer: RtspTransport;
  if (transport.lower === 'tcp') {
    const [rtp, rtcp] = transport.interleaved ?? [index * 2, index * 2 + 1];
    track.way = { kind: 'tcp', rtp, rtcp };
    answer = { lower: 'tcp', profile: 'RTP/AVP', multicast: false, interleaved: [rtp, rtcp], mode: 'record' };
  } else {
    const { clientPort = [0, 0] } = transport;
    const pair = await publisher.setupUdp(track, clientPort[1]);
    answer = {
      lower: 'udp',
      profile: 'RTP/AVP',
      multicast: false,
      clientPort,
      serverPort: [pair.rtpPort, pair.rtcpPort],
      mode: 'record',
    };
  }
  connection.respond(request, 200, { Transport: formatTransport(answer), Session: connection.sessionHeader });
}

/** The announced medium whose control the URL ends with; the next one that is not set up when none does. */
function findAnnounced(tracks: readonly AnnouncedTrack[], url: string): AnnouncedTrack {
  const named = tracks.find((track) => track.control !== '' && url.endsWith(track.control));
  const found = named ?? tracks.find((track) => track.way === undefined);
  if (found !== undefined) return found;
  throw new HearthcamError('rtsp.track', `no medium for ${url} was announced`, { status: 400 });
}

async function record(connection: RtspConnection, request: RtspRequest): Promise<void> {
  const { publisher } = connection;
  if (publisher === undefined || publisher.tracks.every((track) => track.way === undefined)) {
    throw new HearthcamError('rtsp.state', 'RECORD before ANNOUNCE and SETUP', { status: 455 });
  }
  const { publishers, log } = connection.context;
  const { name } = publisher.stream;
  const other = publishers.get(publisher.stream);
  if (other !== undefined) {
    // A publisher that lost its connection comes back before we notice: the new one counts.
    log.info(`stream "${name}": ${connection.remoteAddr} takes over publishing from ${other.connection.remoteAddr}`);
    other.connection.close();
    await other.publisher.close();
  }
  publishers.set(publisher.stream, { connection, publisher });
  await publisher.start();
  log.info(`stream "${name}" is published from ${connection.remoteAddr}`);
  connection.respond(request, 200, { Session: connection.sessionHeader });
}

/** Credentials in a URL are not sent back. */
function withoutUser(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/?@]*@/i, '$1');
}
