import { WireError } from '../../../core/errors.ts';

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** One payload type of an m-line. */
export interface OfferedCodec {
  readonly payloadType: number;
  /** Encoding name in upper case: `H264`, `OPUS`, `PCMA`. */
  readonly name: string;
  readonly clockRateHz: number;
  readonly channels: number;
  /** Format parameters, keys in lower case; a parameter without `=` has the value ''. */
  readonly parameters: ReadonlyMap<string, string>;
  /** The parameters as they were written. */
  readonly fmtp: string;
  /** `nack`, `nack pli`, `ccm fir`, `goog-remb`, … */
  readonly feedback: readonly string[];
}

export interface OfferedMedia {
  /** `video`, `audio`, `application`, … as written. */
  readonly type: string;
  readonly mid: string;
  readonly protocol: string;
  /** What stands behind the protocol, to be repeated in a refusal. */
  readonly formats: string;
  /** Seen from the side that offers. */
  readonly direction: Direction;
  readonly codecs: readonly OfferedCodec[];
  /** SSRCs that the other side will send with. */
  readonly ssrcs: readonly number[];
  /** Port 0: the section is switched off. */
  readonly disabled: boolean;
}

export interface Offer {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  readonly setup: 'actpass' | 'active' | 'passive';
  readonly media: readonly OfferedMedia[];
  /** `candidate:…` lines that came with the offer. */
  readonly candidates: readonly string[];
  /** Mids of the BUNDLE group (RFC 9143); empty without one. */
  readonly bundle: readonly string[];
}

export const MAX_SDP_BYTES = 64 * 1024;
const MAX_MEDIA = 32;
const MAX_CODECS = 128;
const MAX_CANDIDATES = 64;
/** Fingerprint algorithms that the transport knows, with the length of their digest (RFC 8122 §5). */
const DIGEST_BYTES: Readonly<Record<string, number>> = {
  'sha-1': 20,
  'sha-224': 28,
  'sha-256': 32,
  'sha-384': 48,
  'sha-512': 64,
};

interface Section {
  type: string;
  protocol: string;
  formats: string;
  port: number;
  mid: string | undefined;
  direction: Direction | undefined;
  readonly rtpmaps: Map<number, string>;
  readonly fmtps: Map<number, string>;
  readonly feedback: { payloadType: number | undefined; text: string }[];
  readonly ssrcs: Set<number>;
}

/**
 * Takes a WebRTC offer apart (RFC 8829 with RFC 8866, 8839, 8842). Everything in the result has been checked, so that
 * it can be written into another SDP as it is.
 * @throws WireError with the line number as offset.
 */
export function parseOffer(text: string): Offer {
  if (text.length > MAX_SDP_BYTES) {
    throw new WireError('sdp.size', `the offer has ${text.length} characters, at most ${MAX_SDP_BYTES} are allowed`, 0);
  }
  const lines = text.split(/\r\n|\n|\r/);
  if (!lines[0]?.startsWith('v='))
    throw new WireError('sdp.start', 'the offer is not an SDP: it must begin with v=', 0);
  const sections: Section[] = [];
  const transport = { ufrag: '', pwd: '', algorithm: '', fingerprint: '', setup: '' };
  let sessionDirection: Direction | undefined;
  let bundle: readonly string[] = [];
  const candidates: string[] = [];

  lines.forEach((line, lineIndex) => {
    const section = sections.at(-1);
    if (line.startsWith('m=')) {
      sections.push(parseMediaLine(line, lineIndex));
      if (sections.length > MAX_MEDIA) throw new WireError('sdp.media', `more than ${MAX_MEDIA} m-lines`, lineIndex);
      return;
    }
    if (!line.startsWith('a=')) return;
    const colon = line.indexOf(':');
    const key = colon < 0 ? line.slice(2) : line.slice(2, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).trim();
    switch (key) {
      case 'group':
        if (value.startsWith('BUNDLE'))
          bundle = value
            .split(/\s+/)
            .slice(1, MAX_MEDIA + 1)
            .filter(isToken);
        break;
      // ICE and DTLS values may stand at the session or in a section. All sections share one transport (BUNDLE), and
      // the first section that has them speaks for all.
      case 'ice-ufrag':
        transport.ufrag ||= value;
        break;
      case 'ice-pwd':
        transport.pwd ||= value;
        break;
      case 'setup':
        transport.setup ||= value;
        break;
      case 'fingerprint': {
        const [algorithm = '', digest = ''] = value.split(/\s+/);
        if (transport.fingerprint === '' && algorithm.toLowerCase() in DIGEST_BYTES) {
          transport.algorithm = algorithm.toLowerCase();
          transport.fingerprint = digest.toUpperCase();
        }
        break;
      }
      case 'candidate':
        if (candidates.length < MAX_CANDIDATES) candidates.push(line.slice(2));
        break;
      case 'sendrecv':
      case 'sendonly':
      case 'recvonly':
      case 'inactive':
        if (section === undefined) sessionDirection = key;
        else section.direction = key;
        break;
      default:
        if (section !== undefined) readMediaAttribute(section, key, value, lineIndex);
    }
  });

  const media = sections.map((section, index) => finishMedia(section, index, sessionDirection));
  if (new Set(media.map((one) => one.mid)).size < media.length) {
    throw new WireError('sdp.mid', 'two m-lines have the same mid', 0);
  }
  return {
    ...checkTransport(transport),
    media,
    candidates,
    bundle,
  };
}

function parseMediaLine(line: string, lineIndex: number): Section {
  const match = /^m=([a-z]{1,20}) (\d{1,5})(?:\/\d+)? ([A-Z/]{1,40})((?: [\w./-]{1,40}){0,200})\s*$/i.exec(line);
  if (match === null) throw new WireError('sdp.m', `unreadable m-line "${line.slice(0, 80)}"`, lineIndex);
  const [, type = '', port = '0', protocol = '', formats = ''] = match;
  return {
    type: type.toLowerCase(),
    protocol,
    formats: formats.trim(),
    port: Number(port),
    mid: undefined,
    direction: undefined,
    rtpmaps: new Map(),
    fmtps: new Map(),
    feedback: [],
    ssrcs: new Set(),
  };
}

function readMediaAttribute(section: Section, key: string, value: string, lineIndex: number): void {
  switch (key) {
    case 'mid':
      if (!isToken(value)) throw new WireError('sdp.mid', `"${value.slice(0, 40)}" can't be a mid`, lineIndex);
      section.mid = value;
      break;
    case 'rtpmap':
    case 'fmtp': {
      const match = /^(\d{1,3})\s+(.{1,1000})$/.exec(value);
      if (match?.[1] === undefined || match[2] === undefined) return;
      const map = key === 'rtpmap' ? section.rtpmaps : section.fmtps;
      if (map.size < MAX_CODECS) map.set(Number(match[1]), match[2].trim());
      break;
    }
    case 'rtcp-fb': {
      const match = /^(\*|\d{1,3})\s+([\w -]{1,40})$/.exec(value);
      if (match?.[2] === undefined || section.feedback.length > MAX_CODECS * 8) return;
      section.feedback.push({ payloadType: match[1] === '*' ? undefined : Number(match[1]), text: match[2].trim() });
      break;
    }
    case 'ssrc': {
      const ssrc = Number(/^(\d{1,10})(?:\s|$)/.exec(value)?.[1] ?? Number.NaN);
      if (ssrc > 0 && ssrc <= 0xffffffff && section.ssrcs.size < 16) section.ssrcs.add(ssrc);
      break;
    }
  }
}

function finishMedia(section: Section, index: number, sessionDirection: Direction | undefined): OfferedMedia {
  const codecs: OfferedCodec[] = [];
  for (const format of section.formats.split(' ')) {
    const payloadType = /^\d{1,3}$/.test(format) ? Number(format) : Number.NaN;
    const map = section.rtpmaps.get(payloadType) ?? STATIC_RTPMAPS[payloadType];
    // RFC 5761 §4: 64…95 would be taken for RTCP.
    if (map === undefined || payloadType > 127 || (payloadType >= 64 && payloadType <= 95)) continue;
    const match = /^([\w.-]{1,40})\/(\d{1,6})(?:\/(\d{1,2}))?$/.exec(map);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const fmtp = section.fmtps.get(payloadType) ?? '';
    codecs.push({
      payloadType,
      name: match[1].toUpperCase(),
      clockRateHz: Number(match[2]),
      channels: Number(match[3] ?? 1),
      parameters: parseParameters(fmtp),
      fmtp: /^[\x20-\x7e]*$/.test(fmtp) ? fmtp : '',
      feedback: section.feedback
        .filter((one) => one.payloadType === undefined || one.payloadType === payloadType)
        .map((one) => one.text),
    });
  }
  return {
    type: section.type,
    mid: section.mid ?? String(index),
    protocol: section.protocol,
    formats: section.formats,
    direction: section.direction ?? sessionDirection ?? 'sendrecv',
    codecs,
    ssrcs: [...section.ssrcs],
    disabled: section.port === 0,
  };
}

/** RFC 3551 table 4: these need no rtpmap. */
const STATIC_RTPMAPS: Readonly<Record<number, string>> = { 0: 'PCMU/8000', 8: 'PCMA/8000', 9: 'G722/8000' };

function parseParameters(fmtp: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of fmtp.split(';')) {
    const at = part.indexOf('=');
    const key = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    if (key !== '') parameters.set(key, at < 0 ? '' : part.slice(at + 1).trim());
  }
  return parameters;
}

function checkTransport(found: {
  ufrag: string;
  pwd: string;
  algorithm: string;
  fingerprint: string;
  setup: string;
}): Pick<Offer, 'iceUfrag' | 'icePwd' | 'fingerprint' | 'setup'> {
  // RFC 8839 §5.4: ice-char, 4…256 and 22…256 of them.
  if (!/^[A-Za-z0-9+/]{4,256}$/.test(found.ufrag)) throw new WireError('sdp.ice', 'the offer has no a=ice-ufrag', 0);
  if (!/^[A-Za-z0-9+/]{22,256}$/.test(found.pwd)) throw new WireError('sdp.ice', 'the offer has no a=ice-pwd', 0);
  const digestBytes = DIGEST_BYTES[found.algorithm] ?? 0;
  if (digestBytes === 0 || !new RegExp(`^(?:[0-9A-F]{2}:){${digestBytes - 1}}[0-9A-F]{2}$`).test(found.fingerprint)) {
    throw new WireError('sdp.fingerprint', 'the offer has no a=fingerprint that we know (sha-256)', 0);
  }
  const setup = found.setup === 'active' || found.setup === 'passive' ? found.setup : 'actpass';
  return {
    iceUfrag: found.ufrag,
    icePwd: found.pwd,
    fingerprint: { algorithm: found.algorithm, value: found.fingerprint },
    setup,
  };
}

/** RFC 8866 `token`, and short. */
function isToken(text: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}$/.test(text);
}
