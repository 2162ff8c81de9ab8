import type { Offer, OfferedCodec } from './offer.ts';

/** What the transport process says about its side of a connection. */
export interface LocalTransport {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  readonly setup: 'active' | 'passive';
}

/** What becomes of one m-line of the offer; null = nothing, the line is answered as inactive. */
export interface AnsweredMedia {
  readonly codec: OfferedCodec;
  /** Seen from here. */
  readonly direction: 'sendonly' | 'recvonly';
  /** With which we send; 0 when we only receive. */
  readonly ssrc: number;
  readonly fmtp: string;
}

const CNAME = 'hearthcam';
/** What we understand of the other side's feedback; nothing else is taken from the offer. */
const FEEDBACK = new Set(['nack', 'nack pli', 'ccm fir', 'goog-remb']);

/**
 * Writes the answer (RFC 8829 §5.3): as many m-lines as the offer, in its order.
 * @param media one entry per m-line of the offer
 * @param candidates `candidate:…` lines; all of them stand in the first live section. That they are all is not said by
 *   `a=end-of-candidates`: libdatachannel (OBS) as the other side takes that for a failure before it has read them.
 */
export function writeAnswer(
  offer: Offer,
  media: readonly (AnsweredMedia | null)[],
  local: LocalTransport,
  candidates: readonly string[],
  sessionId: number,
): string {
  const bundle: string[] = [];
  const body: string[] = [];
  let first = true;
  offer.media.forEach((offered, index) => {
    const answer = media[index] ?? null;
    const isRtp = offered.type === 'video' || offered.type === 'audio';
    // Only audio and video can be answered as inactive: that needs a codec to name. Else the line is refused.
    const codec = answer?.codec ?? offered.codecs[0];
    if (offered.disabled || !isRtp || codec === undefined) {
      body.push(`m=${offered.type} 0 ${offered.protocol} ${offered.formats || '0'}`, 'c=IN IP4 0.0.0.0');
      body.push(`a=mid:${offered.mid}`, 'a=inactive');
      return;
    }
    if (offer.bundle.includes(offered.mid)) bundle.push(offered.mid);
    body.push(`m=${offered.type} 9 ${offered.protocol} ${codec.payloadType}`, 'c=IN IP4 0.0.0.0');
    body.push(`a=mid:${offered.mid}`, `a=setup:${local.setup}`);
    body.push(`a=ice-ufrag:${local.iceUfrag}`, `a=ice-pwd:${local.icePwd}`);
    body.push(`a=fingerprint:${local.fingerprint.algorithm} ${local.fingerprint.value}`);
    body.push('a=rtcp-mux', 'a=rtcp-rsize');
    const channels = codec.channels > 1 ? `/${codec.channels}` : '';
    body.push(`a=rtpmap:${codec.payloadType} ${codec.name}/${codec.clockRateHz}${channels}`);
    const fmtp = answer?.fmtp ?? codec.fmtp;
    if (fmtp !== '') body.push(`a=fmtp:${codec.payloadType} ${fmtp}`);
    for (const feedback of codec.feedback) {
      if (FEEDBACK.has(feedback)) body.push(`a=rtcp-fb:${codec.payloadType} ${feedback}`);
    }
    body.push(`a=${answer?.direction ?? 'inactive'}`);
    if (answer !== null && answer.direction === 'sendonly') {
      const track = `${CNAME}-${offered.type}`;
      body.push(`a=msid:${CNAME} ${track}`, `a=ssrc:${answer.ssrc} cname:${CNAME}`);
      body.push(`a=ssrc:${answer.ssrc} msid:${CNAME} ${track}`);
    }
    if (first) {
      for (const candidate of candidates) body.push(`a=${candidate}`);
      first = false;
    }
  });
  const head = ['v=0', `o=- ${sessionId} 1 IN IP4 0.0.0.0`, 's=-', 't=0 0'];
  if (bundle.length > 0) head.push(`a=group:BUNDLE ${bundle.join(' ')}`);
  head.push('a=ice-options:trickle', 'a=msid-semantic: WMS *');
  return `${[...head, ...body].join('\r\n')}\r\n`;
}
