import { WireError } from '../../core/errors.ts';
import type { Codec, MediaKind, TrackFormat } from '../../core/media.ts';
import { EMPTY, VIDEO_CLOCK_HZ } from '../../core/media.ts';
import { IpcFields } from '../../core/process/ipc.ts';
import { AUDIO_CODECS, VIDEO_CODECS } from '../../core/wants.ts';
import type { LocalTransport } from './sdp/answer.ts';
import type { Offer } from './sdp/offer.ts';

/**
 * The messages between the server and the WebRTC process (`core/process/ipc.ts` frames them). Media goes down once per stream,
 * whatever the number of viewers; both sides check every field of what they receive.
 */

/** What libdatachannel has to know of one m-line. */
export interface PeerMedia {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly payloadType: number;
  readonly codec: Codec;
  /** As in the rtpmap: `H264/90000`, `OPUS/48000/2`. */
  readonly rtpmap: string;
  readonly fmtp: string;
  readonly feedback: readonly string[];
  /** `send`: our SSRC and the track that is fed into it; `receive`: theirs. */
  readonly direction: 'send' | 'receive';
  /** 0: theirs is not known before its first packet. */
  readonly ssrc: number;
  /** `NO_TRACK`: nothing yet, a `show` follows. */
  readonly trackId: number;
}

export const NO_TRACK = -1;

export interface IceServer {
  readonly url: string;
  readonly username: string;
  readonly credential: string;
}

export interface PeerRequest extends Pick<Offer, 'iceUfrag' | 'icePwd' | 'fingerprint' | 'setup'> {
  readonly peer: number;
  /** Feed that the tracks belong to; 0 for a publisher. */
  readonly feed: number;
  readonly media: readonly PeerMedia[];
  readonly candidates: readonly string[];
  readonly iceServers: readonly IceServer[];
}

export interface TransportConfig {
  /** UDP port for all peers; 0 = any free one. Without effect when each has its own. */
  readonly port: number;
  /** '' = all addresses. */
  readonly bindAddress: string;
  /** Each peer has a UDP port of its own: what a relay (TURN) needs. */
  readonly ownPorts: boolean;
}

/** Server → process. */
export type DownMessage =
  | ({ readonly type: 'config' } & TransportConfig)
  | { readonly type: 'format'; readonly feed: number; readonly track: number; readonly format: TrackFormat }
  | {
      readonly type: 'unit';
      readonly feed: number;
      readonly track: number;
      /** Presentation time in ticks of the track's clock. */
      readonly pts: number;
      readonly key: boolean;
      readonly data: Buffer;
    }
  /** Nobody takes the track any more. */
  | { readonly type: 'track-end'; readonly feed: number; readonly track: number }
  | { readonly type: 'feed-end'; readonly feed: number }
  | { readonly type: 'peer'; readonly request: PeerRequest }
  | { readonly type: 'candidate'; readonly peer: number; readonly candidate: string }
  /** The viewer's picture is to be that of another track of the same codec. */
  | {
      readonly type: 'show';
      readonly peer: number;
      readonly feed: number;
      readonly track: number;
      /** By how many ticks its times lie later on the viewer's time line. */
      readonly shift: number;
      /** From its next key frame on; else from its last one. */
      readonly live: boolean;
    }
  | { readonly type: 'keyframe'; readonly peer: number }
  | { readonly type: 'close'; readonly peer: number }
  | { readonly type: 'ping'; readonly count: number };

export interface PeerStats {
  readonly peer: number;
  readonly bytes: number;
  readonly packets: number;
  readonly units: number;
  readonly dropped: number;
  readonly resent: number;
  /** Share of packets lost lately, 0…1, by the viewer's receiver reports. */
  readonly loss: number;
  /** Round-trip time in ms; -1 while unknown. */
  readonly rttMs: number;
  /** The viewer's own estimate (REMB) in bit/s; 0 while unknown. */
  readonly estimateBps: number;
}

/** Process → server. */
export type UpMessage =
  | { readonly type: 'ready'; readonly port: number }
  | {
      readonly type: 'answer';
      readonly peer: number;
      readonly local: LocalTransport;
      readonly candidates: readonly string[];
      readonly complete: boolean;
    }
  | { readonly type: 'failed'; readonly peer: number; readonly reason: string }
  | { readonly type: 'candidate'; readonly peer: number; readonly candidate: string }
  | { readonly type: 'gathered'; readonly peer: number }
  | { readonly type: 'connected'; readonly peer: number; readonly remote: string }
  | { readonly type: 'closed'; readonly peer: number; readonly reason: string }
  /** What was asked for by `show` is being sent. */
  | { readonly type: 'shown'; readonly peer: number; readonly feed: number; readonly track: number }
  | { readonly type: 'rtp'; readonly peer: number; readonly media: number; readonly packet: Buffer }
  /** A publisher's sender report: at `timestamp` of the track it was `ntpMs` UTC. */
  | {
      readonly type: 'sync';
      readonly peer: number;
      readonly media: number;
      readonly timestamp: number;
      readonly ntpMs: number;
    }
  | { readonly type: 'stats'; readonly peers: readonly PeerStats[] }
  | { readonly type: 'pong'; readonly count: number }
  | { readonly type: 'log'; readonly level: 'debug' | 'warn'; readonly text: string };

const MAX_ID = Number.MAX_SAFE_INTEGER;
const CODECS: readonly Codec[] = [...VIDEO_CODECS, ...AUDIO_CODECS];

/** The JSON of a message; `data` and `packet` travel as payload, a format's byte strings as base64. */
export function encodeDown(message: DownMessage): { header: object; payload: Buffer } {
  if (message.type === 'unit') {
    const { data, ...header } = message;
    return { header, payload: data };
  }
  if (message.type === 'format') {
    return { header: { ...message, format: packFormat(message.format) }, payload: EMPTY };
  }
  return { header: message, payload: EMPTY };
}

export function encodeUp(message: UpMessage): { header: object; payload: Buffer } {
  if (message.type !== 'rtp') return { header: message, payload: EMPTY };
  const { packet, ...header } = message;
  return { header, payload: packet };
}

/** @throws WireError that names the wrong field. */
export function parseDown(header: unknown, payload: Buffer): DownMessage {
  const fields = new IpcFields(header);
  const type = fields.text('type');
  const id = (name: string): number => fields.integer(name, 0, MAX_ID);
  switch (type) {
    case 'config':
      return {
        type,
        port: fields.integer('port', 0, 65_535),
        bindAddress: fields.text('bindAddress'),
        ownPorts: fields.flag('ownPorts'),
      };
    case 'format':
      return { type, feed: id('feed'), track: id('track'), format: unpackFormat(object(header, 'format')) };
    case 'unit':
      return {
        type,
        feed: id('feed'),
        track: id('track'),
        pts: fields.integer('pts', -MAX_ID, MAX_ID),
        key: fields.flag('key'),
        data: payload,
      };
    case 'track-end':
      return { type, feed: id('feed'), track: id('track') };
    case 'feed-end':
      return { type, feed: id('feed') };
    case 'show':
      return {
        type,
        peer: id('peer'),
        feed: id('feed'),
        track: id('track'),
        shift: fields.integer('shift', -MAX_ID, MAX_ID),
        live: fields.flag('live'),
      };
    case 'peer':
      return { type, request: parsePeerRequest(object(header, 'request')) };
    case 'candidate':
      return { type, peer: id('peer'), candidate: fields.text('candidate') };
    case 'keyframe':
    case 'close':
      return { type, peer: id('peer') };
    case 'ping':
      return { type, count: id('count') };
    default:
      throw new WireError('webrtc.link', `unknown message "${type.slice(0, 40)}"`, 0);
  }
}

/** @throws WireError that names the wrong field. */
export function parseUp(header: unknown, payload: Buffer): UpMessage {
  const fields = new IpcFields(header);
  const type = fields.text('type');
  const id = (name: string): number => fields.integer(name, 0, MAX_ID);
  switch (type) {
    case 'ready':
      return { type, port: fields.integer('port', 0, 65_535) };
    case 'answer':
      return {
        type,
        peer: id('peer'),
        local: parseLocal(object(header, 'local')),
        candidates: texts(header, 'candidates'),
        complete: fields.flag('complete'),
      };
    case 'failed':
    case 'closed':
      return { type, peer: id('peer'), reason: fields.text('reason') };
    case 'candidate':
      return { type, peer: id('peer'), candidate: fields.text('candidate') };
    case 'gathered':
      return { type, peer: id('peer') };
    case 'connected':
      return { type, peer: id('peer'), remote: fields.text('remote') };
    case 'shown':
      return { type, peer: id('peer'), feed: id('feed'), track: id('track') };
    case 'rtp':
      return { type, peer: id('peer'), media: fields.integer('media', 0, 100), packet: payload };
    case 'sync':
      return {
        type,
        peer: id('peer'),
        media: fields.integer('media', 0, 100),
        timestamp: fields.integer('timestamp', 0, 0xffffffff),
        ntpMs: fields.number('ntpMs', 0, MAX_ID),
      };
    case 'stats':
      return { type, peers: list(header, 'peers').map(parseStats) };
    case 'pong':
      return { type, count: id('count') };
    case 'log':
      return { type, level: fields.oneOf('level', ['debug', 'warn'] as const), text: fields.text('text') };
    default:
      throw new WireError('webrtc.link', `unknown message "${type.slice(0, 40)}"`, 0);
  }
}

function packFormat(format: TrackFormat): object {
  const base64 = (buffers: readonly Buffer[]): string[] => buffers.map((one) => one.toString('base64'));
  if (format.kind === 'audio') return { ...format, config: format.config.toString('base64') };
  const { vps, sps, pps } = format.parameterSets;
  return {
    ...format,
    config: format.config.toString('base64'),
    parameterSets: { vps: base64(vps), sps: base64(sps), pps: base64(pps) },
  };
}

function unpackFormat(packed: object): TrackFormat {
  const fields = new IpcFields(packed);
  const common = { codecString: fields.text('codecString'), config: Buffer.from(fields.text('config'), 'base64') };
  if (fields.oneOf('kind', ['video', 'audio'] as const) === 'audio') {
    return {
      ...common,
      kind: 'audio',
      codec: fields.oneOf('codec', AUDIO_CODECS),
      clockRateHz: fields.integer('clockRateHz', 1, 1_000_000),
      sampleRateHz: fields.integer('sampleRateHz', 1, 1_000_000),
      channels: fields.integer('channels', 1, 255),
    };
  }
  const sets = object(packed, 'parameterSets');
  const buffers = (name: string): Buffer[] => texts(sets, name).map((text) => Buffer.from(text, 'base64'));
  return {
    ...common,
    kind: 'video',
    codec: fields.oneOf('codec', VIDEO_CODECS),
    clockRateHz: VIDEO_CLOCK_HZ,
    width: fields.integer('width', 0, 100_000),
    height: fields.integer('height', 0, 100_000),
    parameterSets: { vps: buffers('vps'), sps: buffers('sps'), pps: buffers('pps') },
    reorderDepth: fields.integer('reorderDepth', 0, 1_000),
  };
}

function parsePeerRequest(packed: object): PeerRequest {
  const fields = new IpcFields(packed);
  const fingerprint = new IpcFields(object(packed, 'fingerprint'));
  return {
    peer: fields.integer('peer', 0, MAX_ID),
    feed: fields.integer('feed', 0, MAX_ID),
    iceUfrag: fields.text('iceUfrag'),
    icePwd: fields.text('icePwd'),
    fingerprint: { algorithm: fingerprint.text('algorithm'), value: fingerprint.text('value') },
    setup: fields.oneOf('setup', ['actpass', 'active', 'passive'] as const),
    candidates: texts(packed, 'candidates'),
    iceServers: list(packed, 'iceServers').map((one) => {
      const server = new IpcFields(one);
      return { url: server.text('url'), username: server.text('username'), credential: server.text('credential') };
    }),
    media: list(packed, 'media').map((one) => {
      const media = new IpcFields(one);
      return {
        mid: media.text('mid'),
        kind: media.oneOf('kind', ['video', 'audio'] as const),
        payloadType: media.integer('payloadType', 0, 127),
        codec: media.oneOf('codec', CODECS),
        rtpmap: media.text('rtpmap'),
        fmtp: media.text('fmtp'),
        feedback: texts(one, 'feedback'),
        direction: media.oneOf('direction', ['send', 'receive'] as const),
        ssrc: media.integer('ssrc', 0, 0xffffffff),
        trackId: media.integer('trackId', NO_TRACK, MAX_ID),
      };
    }),
  };
}

function parseLocal(packed: object): LocalTransport {
  const fields = new IpcFields(packed);
  const fingerprint = new IpcFields(object(packed, 'fingerprint'));
  return {
    iceUfrag: fields.text('iceUfrag'),
    icePwd: fields.text('icePwd'),
    fingerprint: { algorithm: fingerprint.text('algorithm'), value: fingerprint.text('value') },
    setup: fields.oneOf('setup', ['active', 'passive'] as const),
  };
}

function parseStats(packed: unknown): PeerStats {
  const fields = new IpcFields(packed);
  const count = (name: string): number => fields.integer(name, 0, MAX_ID);
  return {
    peer: count('peer'),
    bytes: count('bytes'),
    packets: count('packets'),
    units: count('units'),
    dropped: count('dropped'),
    resent: count('resent'),
    loss: fields.number('loss', 0, 1),
    rttMs: fields.number('rttMs', -1, MAX_ID),
    estimateBps: fields.number('estimateBps', 0, Number.MAX_VALUE),
  };
}

function member(parent: unknown, name: string): unknown {
  if (typeof parent !== 'object' || parent === null || !(name in parent)) return undefined;
  // Checked border: the key is there, and whoever asks looks at the value.
  return (parent as Readonly<Record<string, unknown>>)[name];
}

function object(parent: unknown, name: string): object {
  const value = member(parent, name);
  if (typeof value !== 'object' || value === null) throw new WireError('webrtc.link', `"${name}" is no object`, 0);
  return value;
}

function list(parent: unknown, name: string): readonly unknown[] {
  const value = member(parent, name);
  if (!Array.isArray(value) || value.length > 1_000) throw new WireError('webrtc.link', `"${name}" is no list`, 0);
  return value;
}

function texts(parent: unknown, name: string): readonly string[] {
  return list(parent, name).map((one) => {
    if (typeof one !== 'string') throw new WireError('webrtc.link', `"${name}" must hold texts`, 0);
    return one;
  });
}
