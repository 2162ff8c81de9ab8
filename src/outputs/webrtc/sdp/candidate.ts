import { isIP } from 'node:net';

/** An ICE candidate line (RFC 8839 §5.1), as far as it is of use here. */
export interface Candidate {
  readonly foundation: string;
  readonly component: number;
  readonly transport: 'udp' | 'tcp';
  readonly priority: number;
  /** IP address, or a name such as `….local`. */
  readonly address: string;
  readonly port: number;
  readonly type: 'host' | 'srflx' | 'prflx' | 'relay';
}

/** Reads `candidate:…` with or without `a=` in front. Null when it is the end mark ('') or unreadable. */
export function parseCandidate(line: string): Candidate | null {
  const match =
    /^(?:a=)?candidate:([A-Za-z0-9+/]{1,32}) (\d{1,3}) (udp|tcp) (\d{1,10}) ([\w.:%-]{1,255}) (\d{1,5}) typ (host|srflx|prflx|relay)(?: .*)?$/i.exec(
      line.trim().slice(0, 1000),
    );
  if (match === null) return null;
  const [, foundation = '', component = '', transport = '', priority = '', address = '', port = '', type = ''] = match;
  if (Number(port) > 65_535 || Number(priority) > 0xffffffff) return null;
  return {
    foundation,
    component: Number(component),
    transport: transport.toLowerCase() === 'tcp' ? 'tcp' : 'udp',
    priority: Number(priority),
    address,
    port: Number(port),
    type: candidateType(type.toLowerCase()),
  };
}

function candidateType(text: string): Candidate['type'] {
  return text === 'srflx' || text === 'prflx' || text === 'relay' ? text : 'host';
}

/**
 * Whether the transport can do something with a candidate of the other side: UDP to a numeric address. TCP is not
 * offered here, and an mDNS name (`….local`) needs no resolving: its owner reaches us first and is then learnt as
 * peer-reflexive (RFC 8445 §7.3.1.3).
 */
export function isUsable(candidate: Candidate): boolean {
  return (
    candidate.transport === 'udp' && candidate.component === 1 && isIP(candidate.address) !== 0 && candidate.port > 0
  );
}

/** A candidate of ours, with the priority that RFC 8445 §5.1.2.1 gives it. */
export function makeCandidate(address: string, port: number, type: 'host' | 'srflx', preference: number): Candidate {
  const typePreference = type === 'host' ? 126 : 100;
  return {
    foundation: `${type === 'host' ? 'h' : 's'}${preference}`,
    component: 1,
    transport: 'udp',
    priority: typePreference * 2 ** 24 + Math.max(0, 65_535 - preference) * 256 + 255,
    address,
    port,
    type,
  };
}

/** `candidate:…` without `a=`. */
export function formatCandidate(candidate: Candidate): string {
  const { foundation, component, transport, priority, address, port, type } = candidate;
  const related = type === 'host' ? '' : ` raddr ${isIP(address) === 6 ? '::' : '0.0.0.0'} rport ${port}`;
  return `candidate:${foundation} ${component} ${transport} ${priority} ${address} ${port} typ ${type}${related}`;
}
