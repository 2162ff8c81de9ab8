import { randomInt } from 'node:crypto';
import type { AccessUnit } from '../../core/media.ts';
import { makeRtpSender, type RtpSender, rtpTimestamp } from '../../wire/codecs/packetizer.ts';
import { unixMsToNtp, writeSdes, writeSenderReport } from '../../wire/rtp/index.ts';

/** One track of a viewer's choice: all that the bytes depend on. */
export interface LayoutTrack {
  readonly trackId: number;
  readonly kind: 'video' | 'audio';
  readonly payloadType: number;
  readonly clockRateHz: number;
  /** Interleaved channels of RTP and RTCP; 0 and 1 over UDP, where ports are the viewer's own. */
  readonly rtpChannel: number;
  readonly rtcpChannel: number;
}

export interface Layout {
  readonly tracks: readonly LayoutTrack[];
  /** RTP payload bytes of live packets, and of those that a new viewer is given first. */
  readonly maxPayloadBytes: number;
  readonly joinPayloadBytes: number;
}

/** Viewers with the same key get the same bytes (`Stream.share`). */
export function layoutKey(transport: 'tcp' | 'udp', layout: Layout): string {
  const tracks = layout.tracks.map(
    (track) => `${track.trackId}:${track.payloadType}:${track.rtpChannel}-${track.rtcpChannel}`,
  );
  return `rtsp:${transport}:${layout.maxPayloadBytes}:${tracks.join(',')}`;
}

const REPORT_EVERY_MS = 5_000;

/** The outgoing RTP stream of one track in one layout. */
export class TrackSender {
  readonly layout: LayoutTrack;
  readonly sender: RtpSender;
  /** Position in the layout. */
  readonly index: number;
  #lastReportMs = Number.NEGATIVE_INFINITY;
  #lastUnit: AccessUnit | undefined;

  constructor(layout: LayoutTrack, index: number) {
    this.layout = layout;
    this.index = index;
    this.sender = makeRtpSender(randomInt(2 ** 32 - 1), layout.payloadType, randomInt(2 ** 16), randomInt(2 ** 31));
  }

  /** A unit's time in ticks of the RTP clock, which differs from the track's for MP3 alone. */
  ticks(unit: AccessUnit): number {
    return (unit.pts * this.layout.clockRateHz) / unit.format.clockRateHz;
  }

  sent(unit: AccessUnit): void {
    this.#lastUnit = unit;
  }

  /** Whether a report is due with this burst; remembers that it is sent. */
  reportDue(nowMs: number): boolean {
    if (this.#lastUnit === undefined || nowMs - this.#lastReportMs < REPORT_EVERY_MS) return false;
    this.#lastReportMs = nowMs;
    return true;
  }

  /** Sender report and CNAME (RFC 3550 §6.1 wants both); null before the first unit. */
  report(cname: string): Buffer | null {
    const unit = this.#lastUnit;
    if (unit === undefined) return null;
    const { sender } = this;
    const ntp = unixMsToNtp(unit.wallMs);
    return Buffer.concat([
      writeSenderReport({
        ssrc: sender.ssrc,
        ntpSeconds: ntp.seconds,
        ntpFraction: ntp.fraction,
        rtpTimestamp: rtpTimestamp(sender, this.ticks(unit)),
        packetCount: sender.packets,
        octetCount: sender.octets,
      }),
      writeSdes(sender.ssrc, cname),
    ]);
  }
}

/** For the RTP-Info header (RFC 2326 §12.33). */
export interface TrackStart {
  readonly sequence: number;
  /** Undefined while nothing of the stream was seen. */
  readonly rtpTime: number | undefined;
}
