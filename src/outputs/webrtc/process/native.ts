import type { RtcConfig } from 'node-datachannel';
import type { IceServer, PeerRequest, TransportConfig } from '../link.ts';
import type { LocalTransport } from '../sdp/answer.ts';

/** Below the smallest MTU that is common on the way to a home (IPv6 minimum 1280), with SRTP, UDP and IP on top. */
const MTU_BYTES = 1_280;

/** Settings of a libdatachannel connection. */
export function rtcConfig(config: TransportConfig, iceServers: readonly IceServer[]): RtcConfig {
  return {
    iceServers: iceServers.flatMap((server) => toNative(server) ?? []),
    ...(config.bindAddress === '' ? {} : { bindAddress: config.bindAddress }),
    // libjuice: "TURN servers are not supported in mux mode", which is what puts all viewers on one port.
    ...(config.ownPorts ? {} : { portRangeBegin: config.port, portRangeEnd: config.port, enableIceUdpMux: true }),
    disableAutoNegotiation: true,
    forceMediaTransport: true,
    mtu: MTU_BYTES,
  };
}

/** `stun:host:port`, `turn:host:port?transport=udp`, `turns:…` (RFC 7064, RFC 7065). */
function toNative(server: IceServer): RtcConfig['iceServers'][number] | null {
  const match = /^(stun|turn|turns):(\[[0-9a-f:]+\]|[\w.-]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/i.exec(
    server.url,
  );
  if (match === null) return null;
  const [, scheme = '', host = '', port, transport] = match;
  const hostname = host.replace(/^\[|\]$/g, '');
  const secure = scheme.toLowerCase() === 'turns';
  const native = { hostname, port: Number(port ?? (secure ? 5349 : 3478)) };
  if (scheme.toLowerCase() === 'stun') return native;
  const relayType = secure ? 'TurnTls' : transport?.toLowerCase() === 'tcp' ? 'TurnTcp' : 'TurnUdp';
  return { ...native, username: server.username, password: server.credential, relayType };
}

/**
 * The offer as libdatachannel gets to see it: only the sections that are used, only the codec that was chosen.
 *
 * All that is received shares the first such section: with several, libdatachannel tells packets apart by the SSRCs of
 * the SDP alone and drops the others, but an offer need not name any (RFC 9143 §9.2). `WebrtcPeer` tells them apart.
 */
export function describeRemote(request: PeerRequest): string {
  const received = request.media.filter((media) => media.direction === 'receive');
  const described = request.media.filter((media) => media.direction === 'send' || media === received[0]);
  // Beside what is sent it would not be found without.
  const named = described.length > 1 ? received.filter((media) => media.ssrc !== 0) : [];
  const lines = ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0'];
  lines.push(`a=group:BUNDLE ${described.map((media) => media.mid).join(' ')}`);
  lines.push(`a=ice-ufrag:${request.iceUfrag}`, `a=ice-pwd:${request.icePwd}`, 'a=ice-options:trickle');
  lines.push(`a=fingerprint:${request.fingerprint.algorithm} ${request.fingerprint.value}`, `a=setup:${request.setup}`);
  for (const media of described) {
    lines.push(`m=${media.kind} 9 UDP/TLS/RTP/SAVPF ${media.payloadType}`, 'c=IN IP4 0.0.0.0', `a=mid:${media.mid}`);
    lines.push(media.direction === 'send' ? 'a=recvonly' : 'a=sendonly', 'a=rtcp-mux');
    lines.push(`a=rtpmap:${media.payloadType} ${media.rtpmap}`);
    if (media.fmtp !== '') lines.push(`a=fmtp:${media.payloadType} ${media.fmtp}`);
    for (const feedback of media.feedback) lines.push(`a=rtcp-fb:${media.payloadType} ${feedback}`);
    if (media === received[0]) for (const { ssrc } of named) lines.push(`a=ssrc:${ssrc} cname:incoming`);
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** Our side's values out of the description that libdatachannel made. @throws Error when one is missing */
export function readLocal(sdp: string): LocalTransport {
  const value = (key: string): string => new RegExp(`^a=${key}:(.*?)\\s*$`, 'm').exec(sdp)?.[1] ?? '';
  const [algorithm = '', digest = ''] = value('fingerprint').split(' ');
  if (digest === '' || value('ice-ufrag') === '') throw new Error('the local description is incomplete');
  return {
    iceUfrag: value('ice-ufrag'),
    icePwd: value('ice-pwd'),
    fingerprint: { algorithm, value: digest },
    setup: value('setup') === 'passive' ? 'passive' : 'active',
  };
}
