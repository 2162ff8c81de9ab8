import net from 'node:net';
import tls from 'node:tls';
import { writeRtpHeader } from '../src/wire/rtp/header.ts';
import { type HeaderInput, type RtspRequest, serializeResponse } from '../src/wire/rtsp/message.ts';
import { RtspParser, writeFrameHeader } from '../src/wire/rtsp/parser.ts';

/** What a scripted answer can be: headers are added to `CSeq`; null: no answer at all. */
export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: HeaderInput;
  readonly body?: string;
  /** Leaves the CSeq out. */
  readonly noCseq?: boolean;
}

/** An interleaved frame that came in. */
export interface FakeFrame {
  readonly channel: number;
  readonly packet: Buffer;
  /** Milliseconds since 1970, with fractions. */
  readonly atMs: number;
}

/** One client of the fake camera. */
export interface FakeClient {
  readonly socket: net.Socket;
  /** All requests so far. */
  readonly requests: readonly RtspRequest[];
  /** Interleaved frames from the client, e.g. receiver reports. */
  readonly frames: FakeFrame[];
  frame(channel: number, packet: Buffer): void;
}

export type FakeHandler = (request: RtspRequest, client: FakeClient) => FakeAnswer | null | undefined;

export interface FakeCameraOptions {
  readonly sdp?: string;
  /** By method; undefined or no handler: the camera's usual answer. */
  readonly on?: Readonly<Record<string, FakeHandler>>;
  /** Key and certificate for TLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface FakeCamera extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly clients: readonly FakeClient[];
  /** All requests of all clients as `METHOD path`. */
  readonly log: readonly string[];
}

/** 2304×1296 H.264 of a Reolink and G.711. */
export const FAKE_SPS = Buffer.from('Z2QAM6zoAoALWQ==', 'base64');
export const FAKE_PPS = Buffer.from('aO48MA==', 'base64');
export const FAKE_SDP = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=fake',
  't=0 0',
  'a=control:*',
  'm=video 0 RTP/AVP 96',
  'a=rtpmap:96 H264/90000',
  'a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAM6zoAoALWQ==,aO48MA==',
  'a=control:trackID=1',
  'm=audio 0 RTP/AVP 8',
  'a=rtpmap:8 PCMA/8000',
  'a=control:trackID=2',
  'm=application 0 RTP/AVP 107',
  'a=rtpmap:107 vnd.onvif.metadata/90000',
  'a=control:trackID=3',
  '',
].join('\r\n');

/** A camera with the picture of `FAKE_SDP` and a back channel, told only to who asks for it as ONVIF wants it. */
export function describesTalk(media: readonly string[] = PCMA_TALK, session: readonly string[] = []): FakeHandler {
  const [head = '', ...medias] = FAKE_SDP.split(/(?=m=)/);
  const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\r\n`).join('');
  const talking = [head, lines(session), ...medias, lines(media)].join('');
  return (request) => ({
    headers: { 'Content-Type': 'application/sdp', 'Content-Base': `${request.url}/` },
    body: request.headers.get('require') === BACK_CHANNEL ? talking : FAKE_SDP,
  });
}
export const BACK_CHANNEL = 'www.onvif.org/ver20/backchannel';
export const PCMA_TALK = ['m=audio 0 RTP/AVP 8', 'a=rtpmap:8 PCMA/8000', 'a=sendonly', 'a=control:trackID=5'];

/** An RTP packet. */
export function rtp(fields: {
  readonly payloadType?: number;
  readonly marker?: boolean;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc?: number;
  readonly payload: Buffer;
}): Buffer {
  const packet = Buffer.alloc(12 + fields.payload.length);
  const { payloadType = 96, marker = true, sequence, timestamp, ssrc = 7 } = fields;
  writeRtpHeader(packet, 0, payloadType, marker, sequence, timestamp, ssrc);
  fields.payload.copy(packet, 12);
  return packet;
}

/** The smallest NAL units that pass for an IDR picture and for one that refers to others. */
export const FAKE_IDR = Buffer.from('65888040', 'hex');
export const FAKE_P = Buffer.from('419a0240', 'hex');

/** Sends `count` pictures (the first a key frame) and as many audio packets. */
export function sendMedia(
  client: FakeClient,
  count: number,
  options: { video?: number; audio?: number; from?: number; ssrc?: number } = {},
): void {
  const { video = 0, audio = 2, from = 0, ssrc = 7 } = options;
  for (let i = from; i < from + count; i++) {
    const payload = i === from ? FAKE_IDR : FAKE_P;
    client.frame(video, rtp({ sequence: i, timestamp: i * 3000, ssrc, payload }));
    client.frame(
      audio,
      rtp({ payloadType: 8, sequence: i, timestamp: i * 160, ssrc: 8, payload: Buffer.alloc(160, 0xd5) }),
    );
  }
}

/** A PLAY handler that sends media right behind the answer. */
export function playing(count = 5, options: Parameters<typeof sendMedia>[2] = {}): FakeHandler {
  return (_request, client) => {
    setImmediate(() => sendMedia(client, count, options));
    return undefined;
  };
}

/**
 * A scripted RTSP camera on loopback, for what real ones do wrong. By default it answers everything properly, gives the
 * channels that are asked for, and sends nothing: tests send frames from the `PLAY` handler or later.
 */
export async function startFakeCamera(options: FakeCameraOptions = {}): Promise<FakeCamera> {
  const clients: FakeClient[] = [];
  const log: string[] = [];
  const onSocket = (socket: net.Socket): void => {
    const requests: RtspRequest[] = [];
    const frames: FakeFrame[] = [];
    const client: FakeClient = {
      socket,
      requests,
      frames,
      frame: (channel, packet) => {
        const header = Buffer.alloc(4);
        writeFrameHeader(header, 0, channel, packet.length);
        socket.write(Buffer.concat([header, packet]));
      },
    };
    clients.push(client);
    const parser = new RtspParser(
      {
        onMessage: (message) => {
          if (message.kind === 'response') return;
          requests.push(message);
          log.push(`${message.method} ${message.url.replace(/^rtsps?:\/\/[^/]*/, '')}`);
          const scripted = options.on?.[message.method]?.(message, client);
          if (scripted === null || socket.destroyed) return;
          const answer = scripted ?? usualAnswer(message, options.sdp ?? FAKE_SDP);
          const cseq = answer.noCseq === true ? undefined : message.cseq;
          const body = Buffer.from(answer.body ?? '');
          socket.write(serializeResponse({ status: answer.status ?? 200 }, { CSeq: cseq, ...answer.headers }, body));
        },
        onInterleaved: (channel, data, start, end) =>
          frames.push({
            channel,
            packet: Buffer.from(data.subarray(start, end)),
            atMs: performance.timeOrigin + performance.now(),
          }),
      },
      { maxGarbageBytes: 0 },
    );
    socket.on('data', (chunk) => {
      try {
        parser.push(chunk);
      } catch {
        // What is not RTSP is hung up on, as by real servers.
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy());
  };
  const server = options.tls === undefined ? net.createServer(onSocket) : tls.createServer(options.tls, onSocket);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    url: `rtsp://127.0.0.1:${port}/cam`,
    clients,
    log,
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function usualAnswer(request: RtspRequest, sdp: string): FakeAnswer {
  switch (request.method) {
    case 'OPTIONS':
      return { headers: { Public: 'OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER' } };
    case 'DESCRIBE':
      return { headers: { 'Content-Type': 'application/sdp', 'Content-Base': `${request.url}/` }, body: sdp };
    case 'SETUP':
      return { headers: { Transport: request.headers.get('transport') ?? '', Session: '12345678;timeout=60' } };
    default:
      return { headers: { Session: '12345678' } };
  }
}
