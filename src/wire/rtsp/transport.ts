/** One alternative of a Transport header (RFC 2326 §12.39). */
export interface RtspTransport {
  /** `other` for what we can't speak, such as MP2T/H2221 or RAW. */
  readonly lower: 'tcp' | 'udp' | 'other';
  /** `RTP/AVP`, `RTP/SAVP`, … as sent. */
  readonly profile: string;
  readonly multicast: boolean;
  /** Channels for RTP and RTCP. */
  readonly interleaved?: readonly [number, number];
  readonly clientPort?: readonly [number, number];
  readonly serverPort?: readonly [number, number];
  /** Multicast ports. */
  readonly port?: readonly [number, number];
  readonly ssrc?: number;
  readonly source?: string;
  readonly destination?: string;
  readonly ttl?: number;
  readonly mode?: 'play' | 'record';
}

/** Longest header that is looked at: cameras send a few hundred bytes. */
const MAX_TRANSPORT_CHARS = 4096;
const MAX_ALTERNATIVES = 16;

/**
 * All alternatives of a Transport header, in the sender's order; empty when none can be read. Parameters that make no
 * sense are left out, since cameras invent some.
 */
export function parseTransport(text: string): readonly RtspTransport[] {
  return text
    .slice(0, MAX_TRANSPORT_CHARS)
    .split(',')
    .slice(0, MAX_ALTERNATIVES)
    .map(parseAlternative)
    .filter((one) => one !== null);
}

function parseAlternative(text: string): RtspTransport | null {
  const [spec = '', ...parts] = text.split(';').map((part) => part.trim());
  const [protocol = '', profile = '', lowerText = ''] = spec.split('/').map((part) => part.trim().toUpperCase());
  if (protocol === '' || profile === '') return null;
  const params = new Map<string, string>();
  for (const part of parts) {
    const equals = part.indexOf('=');
    const key = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    const value = equals < 0 ? '' : unquote(part.slice(equals + 1).trim());
    if (key !== '' && !params.has(key)) params.set(key, value);
  }
  const lower =
    protocol !== 'RTP'
      ? 'other'
      : lowerText === '' || lowerText === 'UDP'
        ? 'udp'
        : lowerText === 'TCP'
          ? 'tcp'
          : 'other';
  const interleaved = pair(params.get('interleaved'), 255);
  const clientPort = pair(params.get('client_port'), 65_535);
  const serverPort = pair(params.get('server_port'), 65_535);
  const port = pair(params.get('port'), 65_535);
  const ssrc = parseSsrc(params.get('ssrc'));
  const source = params.get('source');
  const destination = params.get('destination');
  const ttl = params.get('ttl');
  const mode = params.get('mode')?.toLowerCase();
  return {
    lower,
    profile: `${protocol}/${profile}`,
    multicast: params.has('multicast'),
    ...(interleaved === undefined ? {} : { interleaved }),
    ...(clientPort === undefined ? {} : { clientPort }),
    ...(serverPort === undefined ? {} : { serverPort }),
    ...(port === undefined ? {} : { port }),
    ...(ssrc === undefined ? {} : { ssrc }),
    ...(source === undefined || source === '' ? {} : { source }),
    ...(destination === undefined || destination === '' ? {} : { destination }),
    ...(ttl !== undefined && /^\d{1,3}$/.test(ttl) ? { ttl: Number(ttl) } : {}),
    ...(mode === 'play' || mode === 'record' ? { mode } : mode === 'receive' ? { mode: 'record' as const } : {}),
  };
}

/** A Transport header value with this one alternative. */
export function formatTransport(transport: RtspTransport): string {
  const parts = [transport.lower === 'tcp' ? `${transport.profile}/TCP` : transport.profile];
  parts.push(transport.multicast ? 'multicast' : 'unicast');
  if (transport.destination !== undefined) parts.push(`destination=${transport.destination}`);
  if (transport.source !== undefined) parts.push(`source=${transport.source}`);
  if (transport.interleaved !== undefined) parts.push(`interleaved=${transport.interleaved.join('-')}`);
  if (transport.clientPort !== undefined) parts.push(`client_port=${transport.clientPort.join('-')}`);
  if (transport.serverPort !== undefined) parts.push(`server_port=${transport.serverPort.join('-')}`);
  if (transport.port !== undefined) parts.push(`port=${transport.port.join('-')}`);
  if (transport.ttl !== undefined) parts.push(`ttl=${transport.ttl}`);
  if (transport.ssrc !== undefined) parts.push(`ssrc=${transport.ssrc.toString(16).padStart(8, '0').toUpperCase()}`);
  if (transport.mode !== undefined) parts.push(`mode="${transport.mode.toUpperCase()}"`);
  return parts.join(';');
}

/** `0-1`, `0 - 1`, or `0`, where the second is the next number (RFC 2326 §12.39 lets it out for RTP alone). */
function pair(text: string | undefined, max: number): readonly [number, number] | undefined {
  const match = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$/.exec(text ?? '');
  if (match === null) return undefined;
  const first = Number(match[1]);
  const second = match[2] === undefined ? Math.min(first + 1, max) : Number(match[2]);
  return first > max || second > max ? undefined : [first, second];
}

/** Hikvision writes `ssrc= 1f2e` with a blank, others `0x…` or fewer than eight digits. */
function parseSsrc(text: string | undefined): number | undefined {
  const match = /^(?:0x)?([0-9a-f]{1,8})$/i.exec(text?.trim() ?? '');
  return match === null ? undefined : Number.parseInt(match[1] ?? '', 16);
}

function unquote(text: string): string {
  return text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}

export interface RtspSession {
  /** To be sent back exactly so, without the parameters. */
  readonly id: string;
  readonly timeoutMs?: number;
}

/** RFC 2326 §12.37: `12345678;timeout=60`. Null where there is no id. A time-out of 0 counts as absent. */
export function parseSession(text: string | undefined): RtspSession | null {
  if (text === undefined) return null;
  const [idText = '', ...parts] = text.slice(0, 1024).split(';');
  const id = idText.trim();
  if (id === '' || /\p{Cc}/u.test(id)) return null;
  for (const part of parts) {
    const match = /^\s*timeout\s*=\s*"?(\d{1,6})/i.exec(part);
    if (match === null) continue;
    const seconds = Number(match[1]);
    if (seconds > 0) return { id, timeoutMs: seconds * 1000 };
  }
  return { id };
}
