import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ZodType } from 'zod';
import type { EventBus } from './events.ts';
import type { HardwareFinder } from './hardware.ts';
import type { Hub } from './hub.ts';
import type { Log } from './log.ts';
import type { AccessUnit, VideoFormat } from './media.ts';
import type { Preloads } from './preload.ts';
import type { Renditions } from './qualities.ts';
import type { Scope } from './scope.ts';

/** What somebody may do. Every route, WebSocket message and RTSP method names the one that it needs. */
export type Right = 'view' | 'listen' | 'talk' | 'playback' | 'control' | 'configure';

/** Who asks: the peer's address and, later, a user. */
export interface Peer {
  readonly remoteAddress: string;
  /** Credentials were given and are right, or none are needed from this peer. */
  readonly authenticated: boolean;
}

/** Decides who may do what. */
export interface AccessPolicy {
  allows(peer: Peer, right: Right, streamName?: string): boolean;
}

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';

export interface Route {
  readonly methods: readonly HttpMethod[];
  /** Fastify path, for example `/api/frame.jpeg` or `/api/recordings/:camera`. */
  readonly path: string;
  readonly right: Right;
  /**
   * Throws HearthcamError for a clear `status` + message; may reply itself (stream) through `reply.hijack()`.
   * `peer` has the route's right already; it is given for what needs a further one.
   */
  handler(request: FastifyRequest, reply: FastifyReply, peer: Peer): unknown;
}

/** One `/api/ws` connection (compatibility.md 1.5). */
export interface WsSession {
  /** `?src=` as sent. */
  readonly src: string;
  readonly query: URLSearchParams;
  /** For what needs a further right than the message's own. */
  readonly peer: Peer;
  readonly remoteAddr: string;
  readonly userAgent: string | undefined;
  readonly log: Log;
  /** Aborted when the socket is closed. */
  readonly scope: Scope;
  /**
   * The TCP socket below: shared binary messages are written to it already framed (`wsBinaryFrame`), so that a
   * fragment is framed once for all viewers. No compression is negotiated, which makes this sound.
   */
  readonly socket: Socket;
  /** `{"type", "value"}` and a newline. `value` undefined leaves the key out. */
  send(type: string, value?: unknown): void;
  sendBinary(data: Buffer): void;
  /** Sends `{"type":"error","value":"<request type>: <text>"}`. */
  fail(requestType: string, error: unknown): void;
}

export interface WsMessage {
  /** `mse`, `webrtc/offer`, … */
  readonly type: string;
  readonly right: Right;
  /** Rejections are sent to the client as an `error` message. */
  handler(session: WsSession, value: unknown): void | Promise<void>;
}

export interface Routes {
  /** @throws at start when a route has no right or the path is taken. */
  route(route: Route): void;
  message(message: WsMessage): void;
}

export interface StillRequest {
  /** The key frame to decode, as `AccessUnit.data`, with its format. */
  readonly format: VideoFormat;
  readonly data: Buffer;
  /** Pixels; one alone keeps the aspect ratio; none keeps the size. */
  readonly width?: number;
  readonly height?: number;
  readonly rotate?: 0 | 90 | 180 | 270;
  /** JPEG quality 1…100. */
  readonly quality?: number;
}

export interface AnimationRequest {
  readonly form: 'webp' | 'gif';
  readonly format: VideoFormat;
  /** Of the one format, in the order of decoding, from a key frame on. */
  readonly units: readonly Pick<AccessUnit, 'pts' | 'key' | 'data'>[];
  /** Pictures before are not shown. */
  readonly fromPts: number;
  /** Pictures a second, at most. */
  readonly fps: number;
  /** Pixels before rotation, no more than the picture has; one alone keeps the aspect ratio. */
  readonly width?: number;
  readonly height?: number;
  readonly rotate?: 0 | 90 | 180 | 270;
  /** Of WebP, 1…100. */
  readonly quality?: number;
}

/** Decodes pictures in the codec process. */
export interface StillDecoder {
  /** A JPEG of the picture. Rejects after a few seconds at most; the process is replaced when it dies. */
  still(request: StillRequest): Promise<Buffer>;
  /** A file that plays without end. Takes longer, so it is made apart from stills. Absent where none can be made. */
  animation?(request: AnimationRequest): Promise<Buffer>;
}

/** Which streams belong to one camera (`cameras:` of the configuration). */
export interface Cameras {
  /** Names of the streams of the camera that a stream belongs to, best picture first; at least the stream itself. */
  variants(streamName: string): readonly string[];
  /** Stream names by camera name. */
  all(): Readonly<Record<string, readonly string[]>>;
}

/** What modules are given. Everything that touches the outside comes in through here. */
export interface Env {
  readonly log: Log;
  readonly hub: Hub;
  readonly routes: Routes;
  readonly access: AccessPolicy;
  readonly stills: StillDecoder;
  readonly preloads: Preloads;
  readonly cameras: Cameras;
  readonly renditions: Renditions;
  readonly hardware: HardwareFinder;
  /** What is noticed at the cameras. */
  readonly events: EventBus;
  /** Where modules keep what must outlive the program (see `data-folder.ts`); null: nowhere, keep it in memory. */
  readonly dataDir: string | null;
  /** Where models lie that the program uses but does not bring along; null: nowhere. */
  readonly modelsDir: string | null;
  /** Version for humans and for `Server`/`User-Agent` lines, e.g. `hearthcam/0.1.0`. */
  readonly product: string;
}

/** A way to send media out, registered in `modules.ts`. */
export interface OutputModule<C = unknown> {
  readonly name: string;
  /** Its section of the configuration file, if it has one. */
  readonly config?: { readonly key: string; readonly schema: ZodType<C> };
  /** Mounts routes, opens listeners. What it opens ends with `scope`. */
  start(env: Env, config: C, scope: Scope): void | Promise<void>;
}
