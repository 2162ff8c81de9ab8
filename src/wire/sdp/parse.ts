import { WireError } from '../../core/errors.ts';

export interface SdpAttribute {
  /** Lower case. */
  readonly name: string;
  /** Text behind the first colon, '' where there is none. */
  readonly value: string;
}

/** One payload type of an `m=` line with its `rtpmap` and `fmtp`. */
export interface SdpFormat {
  readonly payloadType: number;
  /** Upper case, e.g. `H264`, `MPEG4-GENERIC`; '' where neither rtpmap nor RFC 3551 names it. */
  readonly encoding: string;
  /** 0 where unknown. */
  readonly clockRateHz: number;
  /** 0 where it isn't said. */
  readonly channels: number;
  /** Names in lower case. */
  readonly fmtp: ReadonlyMap<string, string>;
}

export interface SdpMedia {
  /** `video`, `audio`, `application`, `text`, … in lower case. */
  readonly kind: string;
  readonly port: number;
  /** `RTP/AVP`, … as sent. */
  readonly protocol: string;
  readonly formats: readonly SdpFormat[];
  readonly direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** `a=control`; undefined where missing. */
  readonly control: string | undefined;
  readonly attributes: readonly SdpAttribute[];
  /** `c=` of the medium, the session's otherwise; '' where missing. */
  readonly connection: string;
  /** `b=AS:` in kbit/s. */
  readonly bandwidthKbps: number | undefined;
}

export interface SdpSession {
  readonly origin: string;
  readonly name: string;
  readonly control: string | undefined;
  /** `a=range`, e.g. `npt=0-`. */
  readonly range: string | undefined;
  readonly attributes: readonly SdpAttribute[];
  readonly media: readonly SdpMedia[];
}

const MAX_SDP_CHARS = 256 * 1024;
const MAX_MEDIA = 64;
const MAX_FORMATS = 64;

/** RFC 3551 §6 (tables 4 and 5): what the numbers below 96 mean without an rtpmap. */
const STATIC_FORMATS: Readonly<Record<number, readonly [encoding: string, clockRateHz: number, channels: number]>> = {
  0: ['PCMU', 8000, 1],
  2: ['G726-32', 8000, 1],
  3: ['GSM', 8000, 1],
  4: ['G723', 8000, 1],
  5: ['DVI4', 8000, 1],
  8: ['PCMA', 8000, 1],
  9: ['G722', 8000, 1],
  10: ['L16', 44_100, 2],
  11: ['L16', 44_100, 1],
  14: ['MPA', 90_000, 1],
  18: ['G729', 8000, 1],
  26: ['JPEG', 90_000, 0],
  31: ['H261', 90_000, 0],
  32: ['MPV', 90_000, 0],
  33: ['MP2T', 90_000, 0],
  34: ['H263', 90_000, 0],
};

interface Draft {
  kind: string;
  port: number;
  protocol: string;
  payloadTypes: number[];
  attributes: SdpAttribute[];
  connection: string;
  bandwidthKbps: number | undefined;
}

/**
 * Parses a session description (RFC 8866) as forgivingly as cameras need: any line ends, missing lines, lines in wrong
 * order, blanks around values. Lines that make no sense are left out.
 * @throws WireError `sdp.size`, or `sdp.empty` where there is neither a `v=` nor an `m=` line.
 */
export function parseSdp(text: string): SdpSession {
  if (text.length > MAX_SDP_CHARS) {
    throw new WireError('sdp.size', `the session description has ${text.length} characters`, 0);
  }
  let seen = false;
  let origin = '';
  let name = '';
  let connection = '';
  const attributes: SdpAttribute[] = [];
  const drafts: Draft[] = [];
  for (const raw of text.split(/[\r\n]+/)) {
    const line = raw.trim();
    if (line[1] !== '=') continue;
    const value = line.slice(2).trim();
    const draft = drafts.at(-1);
    switch (line[0] ?? '') {
      case 'v':
        seen = true;
        break;
      case 'o':
        origin = value;
        break;
      case 's':
        name = value;
        break;
      case 'c':
        if (draft === undefined) connection = value;
        else draft.connection = value;
        break;
      case 'b':
        if (draft !== undefined) draft.bandwidthKbps = bandwidth(value) ?? draft.bandwidthKbps;
        break;
      case 'a':
        (draft?.attributes ?? attributes).push(attribute(value));
        break;
      case 'm':
        seen = true;
        if (drafts.length < MAX_MEDIA) drafts.push(mediaLine(value, connection));
        break;
      default:
    }
  }
  if (!seen) {
    throw new WireError('sdp.empty', `no session description: ${JSON.stringify(text.slice(0, 80))}`, 0);
  }
  return {
    origin,
    name,
    control: find(attributes, 'control'),
    range: find(attributes, 'range'),
    attributes,
    media: drafts.map((draft) => finish(draft, drafts)),
  };
}

function mediaLine(value: string, connection: string): Draft {
  const [kind = '', port = '', protocol = '', ...formats] = value.split(/\s+/);
  const payloadTypes = formats
    .filter((one) => /^\d{1,3}$/.test(one))
    .map(Number)
    .filter((one) => one < 128)
    .slice(0, MAX_FORMATS);
  return {
    kind: kind.toLowerCase(),
    // "0/2" counts port pairs (RFC 8866 §5.14).
    port: Number.parseInt(port, 10) || 0,
    protocol,
    payloadTypes,
    attributes: [],
    connection,
    bandwidthKbps: undefined,
  };
}

function finish(draft: Draft, all: readonly Draft[]): SdpMedia {
  const { attributes } = draft;
  // Some cameras put another payload type into the m= line than into the rtpmap; with just one of each they belong
  // together, and packets carry that of the rtpmap.
  const mapped = attributes
    .filter((one) => one.name === 'rtpmap')
    .map((one) => /^(\d{1,3})\s/.exec(one.value)?.[1])
    .filter((one) => one !== undefined)
    .map(Number);
  const [only] = mapped;
  const types =
    mapped.length === 1 &&
    only !== undefined &&
    only < 128 &&
    draft.payloadTypes.length <= 1 &&
    !draft.payloadTypes.includes(only)
      ? [only]
      : draft.payloadTypes;
  const direction = attributes.findLast(({ name }) => isDirection(name))?.name;
  return {
    kind: draft.kind,
    port: draft.port,
    protocol: draft.protocol,
    formats: types.map((payloadType) => withFmtp(formatOf(payloadType, attributes), draft, all)),
    direction: direction !== undefined && isDirection(direction) ? direction : 'sendrecv',
    control: find(attributes, 'control'),
    attributes,
    connection: draft.connection,
    bandwidthKbps: draft.bandwidthKbps,
  };
}

/** Some cameras write the fmtp of the video below the m= line of the audio (AlexxIT/WebRTC#419). */
function withFmtp(format: SdpFormat, own: Draft, all: readonly Draft[]): SdpFormat {
  const { payloadType } = format;
  if (format.fmtp.size > 0 || payloadType < 96) return format;
  for (const draft of all) {
    if (draft === own || draft.payloadTypes.includes(payloadType)) continue;
    const { fmtp } = formatOf(payloadType, draft.attributes);
    if (fmtp.size > 0) return { ...format, fmtp };
  }
  return format;
}

function isDirection(name: string): name is SdpMedia['direction'] {
  return name === 'sendrecv' || name === 'sendonly' || name === 'recvonly' || name === 'inactive';
}

function formatOf(payloadType: number, attributes: readonly SdpAttribute[]): SdpFormat {
  const fixed = STATIC_FORMATS[payloadType];
  let [encoding, clockRateHz, channels] = fixed ?? ['', 0, 0];
  const fmtp = new Map<string, string>();
  for (const { name, value } of attributes) {
    if (name !== 'rtpmap' && name !== 'fmtp') continue;
    const match = /^(\d{1,3})\s+(.*)$/s.exec(value);
    if (match === null || Number(match[1]) !== payloadType) continue;
    const rest = (match[2] ?? '').trim();
    if (name === 'fmtp') {
      parseFmtp(rest, fmtp);
      continue;
    }
    const [encodingText = '', rate = '', channelText = ''] = rest.split('/').map((part) => part.trim());
    if (encodingText !== '') encoding = encodingText.toUpperCase();
    const hertz = Number.parseInt(rate, 10);
    if (hertz > 0 && hertz < 1e9) clockRateHz = hertz;
    const count = Number.parseInt(channelText, 10);
    if (count > 0 && count <= 64) channels = count;
  }
  return { payloadType, encoding, clockRateHz, channels, fmtp };
}

/** `key=value; key=value`: base64 values end with `=` themselves; blanks and empty parts are common. */
function parseFmtp(text: string, into: Map<string, string>): void {
  for (const part of text.split(';').slice(0, 100)) {
    const equals = part.indexOf('=');
    const key = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    if (key === '') continue;
    const value = equals < 0 ? '' : part.slice(equals + 1).trim();
    into.set(key, value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value);
  }
}

function attribute(value: string): SdpAttribute {
  const colon = value.indexOf(':');
  return colon < 0
    ? { name: value.toLowerCase(), value: '' }
    : { name: value.slice(0, colon).trim().toLowerCase(), value: value.slice(colon + 1).trim() };
}

function bandwidth(value: string): number | undefined {
  const match = /^AS:\s*(\d{1,9})/i.exec(value);
  return match === null ? undefined : Number(match[1]);
}

function find(attributes: readonly SdpAttribute[], name: string): string | undefined {
  return attributes.find((one) => one.name === name)?.value;
}
