import { HearthcamError } from '../../core/errors.ts';
import type { MediaKind } from '../../core/media.ts';
import type { HeaderInput, RtspResponse } from '../../wire/rtsp/message.ts';
import { parseTransport, type RtspTransport } from '../../wire/rtsp/transport.ts';
import type { RtspConnection } from './connection.ts';
import { refused } from './failures.ts';
import { UdpPair, type UdpPairEvents } from './udp.ts';

/** What SETUP needs to know of a medium, and fills in. */
export interface SetUpMedium {
  readonly kind: MediaKind | 'loudspeaker';
  readonly url: string;
  readonly receiver: { announce(ssrc: number | undefined): void };
  index: number;
  channels: readonly [number, number];
  udp: UdpPair | undefined;
  serverPorts: readonly [number, number] | undefined;
}

export interface SetUpInput {
  readonly connection: RtspConnection;
  readonly track: SetUpMedium;
  readonly transport: 'tcp' | 'udp';
  /** Whether the other transport may be tried: only for the first medium, all use the same. */
  readonly fallback: boolean;
  readonly udpEvents: UdpPairEvents;
  readonly headers?: HeaderInput;
}

export type SetUpResult =
  | { readonly kind: 'ready'; readonly transport: 'tcp' | 'udp'; readonly response: RtspResponse }
  | { readonly kind: 'refused'; readonly error: HearthcamError };

/** SETUP of one medium (RFC 2326 §10.4), by the other transport where the camera refuses the first. */
export async function setUpTrack(input: SetUpInput): Promise<SetUpResult> {
  const { transport, fallback, connection, track } = input;
  const first = await attempt(input, transport);
  if (first.kind === 'ready') return { kind: 'ready', transport, response: first.response };
  if (!first.transportRefused)
    return { kind: 'refused', error: refused(`SETUP of its ${track.kind}`, first.response, connection.target) };
  const other = transport === 'tcp' ? 'udp' : 'tcp';
  const second = fallback ? await attempt(input, other) : null;
  if (second?.kind === 'ready') return { kind: 'ready', transport: other, response: second.response };
  const outcomes = [`${transport.toUpperCase()}: ${first.why}`];
  if (second !== null) outcomes.push(`${other.toUpperCase()}: ${second.why}`);
  return {
    kind: 'refused',
    error: new HearthcamError(
      'rtsp.setup.refused',
      `${connection.target.display} accepts no transport that we offer for its ${track.kind} (${outcomes.join(', ')})`,
      { status: 502, hint: 'allow RTSP over TCP in the settings of the camera' },
    ),
  };
}

type Attempt =
  | { readonly kind: 'ready'; readonly response: RtspResponse }
  | { readonly kind: 'no'; readonly response: RtspResponse; readonly transportRefused: boolean; readonly why: string };

async function attempt(input: SetUpInput, transport: 'tcp' | 'udp'): Promise<Attempt> {
  return transport === 'tcp' ? overTcp(input) : overUdp(input);
}

async function overTcp({ connection, track, headers }: SetUpInput): Promise<Attempt> {
  const asked: [number, number] = [track.index * 2, track.index * 2 + 1];
  const response = await connection.request('SETUP', track.url, {
    ...headers,
    Transport: `RTP/AVP/TCP;unicast;interleaved=${asked.join('-')}`,
  });
  if (response.status !== 200) return no(response);
  const reply = replyOf(response);
  // The Escam Q6 says RTP/AVP but gives channels, so these decide; others leave the header out.
  if (reply !== undefined && reply.lower !== 'tcp' && reply.interleaved === undefined) {
    return { kind: 'no', response, transportRefused: true, why: 'it answered with UDP' };
  }
  track.channels = reply?.interleaved ?? asked;
  track.receiver.announce(reply?.ssrc);
  return { kind: 'ready', response };
}

async function overUdp({ connection, track, udpEvents, headers }: SetUpInput): Promise<Attempt> {
  const pair = await UdpPair.open(connection.localHost, udpEvents);
  let kept = false;
  try {
    const response = await connection.request('SETUP', track.url, {
      ...headers,
      Transport: `RTP/AVP;unicast;client_port=${pair.port}-${pair.port + 1}`,
    });
    if (response.status !== 200) return no(response);
    const reply = replyOf(response);
    if (reply !== undefined && (reply.lower === 'tcp' || reply.multicast)) {
      const why = reply.multicast ? 'it answered with multicast' : 'it answered with TCP';
      return { kind: 'no', response, transportRefused: true, why };
    }
    track.udp = pair;
    track.serverPorts = reply?.serverPort;
    track.receiver.announce(reply?.ssrc);
    kept = true;
    return { kind: 'ready', response };
  } finally {
    if (!kept) pair.close();
  }
}

function replyOf(response: RtspResponse): RtspTransport | undefined {
  const text = response.headers.get('transport');
  return text === undefined ? undefined : parseTransport(text)[0];
}

function no(response: RtspResponse): Attempt {
  return {
    kind: 'no',
    response,
    transportRefused: response.status === 461,
    why: `${response.status} ${response.reason}`.trim(),
  };
}
