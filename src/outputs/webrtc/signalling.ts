import type { Env, WsSession } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import { requirePublishRight } from '../../core/publish-right.ts';
import { requestedQuality } from '../../core/requested-quality.ts';
import { requestedStream } from '../../core/requested-stream.ts';
import { requireTalkRight } from '../../core/talk-right.ts';
import type { IceServer } from './link.ts';
import { isLoopback } from './local.ts';
import { openPublisher, type Publisher } from './publisher.ts';
import { asOfferError, type WebrtcService } from './service.ts';
import { isTalkOffer, openTalker, type Talker } from './talker.ts';
import { openViewer, type Viewer } from './viewer.ts';

const MAX_EARLY_CANDIDATES = 64;

/** What one WebSocket has under way: candidates may come before the offer, and while it is being answered. */
interface Signalling {
  readonly early: string[];
  add: ((candidate: string) => void) | undefined;
  /** Whose quality is changed by the socket; undefined before the answer, and for a publisher. */
  viewer: Viewer | undefined;
  /** The client knows qualities: it is told of changes. Others might not expect the message. */
  tells: boolean;
}

/** The `webrtc…` messages of `/api/ws` (compatibility.md 1.5). The connection outlives the socket. */
export class WebrtcMessages {
  readonly #env: Env;
  readonly #service: WebrtcService;
  readonly #signalling = new WeakMap<WsSession, Signalling>();

  constructor(env: Env, service: WebrtcService) {
    this.#env = env;
    this.#service = service;
  }

  mount(): void {
    const { routes, access } = this.#env;
    const mayName = (session: WsSession): boolean => access.allows(session.peer, 'configure', session.src);
    routes.message({
      type: 'webrtc/offer',
      right: 'view',
      handler: (session, value) => this.#offer(session, text(value), [], (sdp) => session.send('webrtc/answer', sdp)),
    });
    routes.message({
      type: 'webrtc',
      right: 'view',
      handler: (session, value) =>
        // Like a URL given as src, servers named in a request let whoever asks choose whom this server talks to.
        this.#offer(session, jsonOffer(value), mayName(session) ? iceServersOf(value) : [], (sdp) =>
          session.send('webrtc', { type: 'answer', sdp }),
        ),
    });
    routes.message({
      type: 'webrtc/candidate',
      right: 'view',
      handler: (session, value) => this.#candidate(session, text(value)),
    });
    routes.message({
      type: 'quality',
      right: 'view',
      handler: (session, value) => this.#quality(session, text(value)),
    });
  }

  /** `auto`, or the name of a quality. Answered by the message `quality` whenever the picture changes. */
  async #quality(session: WsSession, wanted: string): Promise<void> {
    const signalling = this.#of(session);
    const { viewer } = signalling;
    if (viewer === undefined || viewer.picture === null) {
      throw new HearthcamError('webrtc.none', 'there is no WebRTC picture on this socket yet', { status: 409 });
    }
    signalling.tells = true;
    await viewer.picture.choose(requestedQuality(this.#env, viewer.streamName, wanted) ?? 'auto');
  }

  async #offer(
    session: WsSession,
    sdp: string,
    iceServers: readonly IceServer[],
    sendAnswer: (sdp: string) => void,
  ): Promise<void> {
    const signalling = this.#of(session);
    // What comes from now on belongs to this offer, also when the socket is used a second time.
    signalling.add = undefined;
    signalling.viewer = undefined;
    const { remoteAddr, userAgent } = session;
    const address = session.socket.remoteAddress ?? '';
    let answered = false;
    const late: string[] = [];
    const request = {
      sdp,
      protocol: 'ws+udp',
      remoteAddr,
      userAgent,
      local: isLoopback(address),
      iceServers,
      candidates: signalling.early.splice(0),
      onCandidate: (candidate: string) => {
        // Nothing may come before the answer.
        if (answered) session.send('webrtc/candidate', candidate);
        else late.push(candidate);
      },
    };
    try {
      const opened = await this.#open(session, request);
      const { peer } = opened;
      signalling.add = (candidate) => peer.addCandidate(candidate);
      for (const candidate of signalling.early.splice(0)) peer.addCandidate(candidate);
      sendAnswer(opened.answer([]));
      answered = true;
      if (isViewer(opened)) this.#introduce(session, signalling, opened);
      for (const candidate of [...peer.candidates, ...late]) session.send('webrtc/candidate', candidate);
    } catch (error) {
      throw asOfferError(error);
    }
  }

  #introduce(session: WsSession, signalling: Signalling, viewer: Viewer): void {
    signalling.viewer = viewer;
    if (!signalling.tells) return;
    if (viewer.picture !== null) session.send('quality', viewer.picture.state);
    for (const notice of viewer.refused) session.send('notice', notice);
  }

  async #open(
    session: WsSession,
    request: Omit<Parameters<typeof openPublisher>[1], 'stream'>,
  ): Promise<Viewer | Publisher | Talker> {
    const { hub, access } = this.#env;
    const dst = session.query.get('dst') ?? '';
    if (dst === '') {
      const { query } = session;
      const src = { src: session.src, name: query.get('name') ?? undefined };
      const stream = requestedStream(this.#env, src, session.peer);
      const signalling = this.#of(session);
      const common = { ...request, stream, formatName: 'webrtc', signal: session.scope.signal };
      if (isTalkOffer(request.sdp)) {
        requireTalkRight(access, session.peer, stream.name);
        return openTalker(this.#service, common);
      }
      return openViewer(this.#service, {
        ...common,
        mayTalk: access.allows(session.peer, 'talk', stream.name),
        env: this.#env,
        quality: requestedQuality(this.#env, stream.name, query.get('quality')),
        onQuality: (state) => {
          // What it begins with is told with the answer.
          if (signalling.tells && signalling.viewer !== undefined) session.send('quality', state);
        },
      });
    }
    requirePublishRight(access, session.peer, dst);
    return openPublisher(this.#service, { ...request, stream: hub.require(dst) });
  }

  #candidate(session: WsSession, candidate: string): void {
    const signalling = this.#of(session);
    if (signalling.add !== undefined) signalling.add(candidate);
    else if (signalling.early.length < MAX_EARLY_CANDIDATES) signalling.early.push(candidate);
  }

  #of(session: WsSession): Signalling {
    let signalling = this.#signalling.get(session);
    if (signalling === undefined) {
      signalling = { early: [], add: undefined, viewer: undefined, tells: session.query.has('quality') };
      this.#signalling.set(session, signalling);
    }
    return signalling;
  }
}

function isViewer(opened: Viewer | Publisher | Talker): opened is Viewer {
  return 'streamName' in opened;
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new HearthcamError('ws.value', 'the value must be a text', { status: 400 });
}

function jsonOffer(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'sdp' in value && typeof value.sdp === 'string') return value.sdp;
  throw new HearthcamError('ws.value', 'the value has no "sdp"', { status: 400 });
}

/** `ice_servers` of Home Assistant's message: TURN servers that the viewer uses; we can as well if relays are in use. */
function iceServersOf(value: unknown): IceServer[] {
  if (typeof value !== 'object' || value === null || !('ice_servers' in value) || !Array.isArray(value.ice_servers)) {
    return [];
  }
  const servers: IceServer[] = [];
  for (const one of value.ice_servers.slice(0, 10)) {
    if (typeof one !== 'object' || one === null) continue;
    // Checked border: an object from JSON; each field is looked at below.
    const { urls, username, credential } = one as Readonly<Record<string, unknown>>;
    for (const url of Array.isArray(urls) ? urls.slice(0, 10) : [urls]) {
      if (typeof url !== 'string' || !/^turns?:/i.test(url)) continue;
      servers.push({
        url,
        username: typeof username === 'string' ? username : '',
        credential: typeof credential === 'string' ? credential : '',
      });
    }
  }
  return servers;
}
