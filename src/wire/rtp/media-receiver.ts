import {
  createDepacketizer,
  type Depacketizer,
  type OnProblem,
  type OnUnit,
  type RtpMedia,
} from '../codecs/depacketizer.ts';
import type { RtpView } from './header.ts';
import { ReceiverStats } from './receiver.ts';
import { ntpMiddle, ntpToUnixMs, type ReportBlock, type SenderInfo } from './rtcp.ts';
import { TimestampUnwrapper } from './unwrap.ts';

export interface MediaReceiverOptions {
  readonly media: RtpMedia;
  readonly onUnit: OnUnit;
  readonly onProblem: OnProblem;
  /** A sender report, its time stamp on the unwrapped clock of the units' `ticks`; not before the first packet. */
  readonly onSync?: (ticks: number, ntpUnixMs: number) => void;
  /** The SSRC that the peer announced; while it is seen, packets of others are left out. */
  readonly ssrc?: number;
}

/** How long packets with the announced SSRC keep others out. */
const SSRC_HOLD_MS = 1000;

/**
 * One RTP medium being received: loss, time stamps, depacketizing, and what receiver reports need. Packets must come in
 * order (see `ReorderBuffer`). Pure: time comes in as `nowMs`.
 * @throws HearthcamError on construction, for a codec that can't come by RTP
 */
export class MediaReceiver {
  readonly media: RtpMedia;
  readonly #depacketizer: Depacketizer;
  readonly #onSync: ((ticks: number, ntpUnixMs: number) => void) | undefined;
  readonly #stats: ReceiverStats;
  readonly #clock = new TimestampUnwrapper();
  #announcedSsrc: number | undefined;
  #announcedSeenMs = Number.NEGATIVE_INFINITY;
  #started = false;
  #lastSequence = -1;
  #early: SenderInfo | null = null;
  #lossTaken = 0;
  /** Packets of foreign SSRCs that were left out. */
  foreign = 0;

  constructor(options: MediaReceiverOptions) {
    this.media = options.media;
    this.#depacketizer = createDepacketizer(options.media, options.onUnit, options.onProblem);
    this.#onSync = options.onSync;
    this.#announcedSsrc = options.ssrc;
    this.#stats = new ReceiverStats(options.media.clockRateHz);
  }

  /** As far as it is known; at first from the SDP alone. */
  get format(): Depacketizer['format'] {
    return this.#depacketizer.format;
  }
  /** The SSRC of the last packet; -1 before. */
  get ssrc(): number {
    return this.#stats.ssrc;
  }

  /** The SSRC that the reply to SETUP announced. */
  announce(ssrc: number | undefined): void {
    this.#announcedSsrc = ssrc;
  }

  /** Takes one packet, whose header was read into `view`. The bytes are not kept. */
  packet(data: Buffer, view: RtpView, nowMs: number): void {
    if (!this.#admit(view.ssrc, nowMs)) {
      this.foreign++;
      return;
    }
    // Sent twice over TCP, as some cameras do: not a break in the numbers.
    if (view.sequence === this.#lastSequence && view.ssrc === this.#stats.ssrc) return;
    this.#lastSequence = view.sequence;
    const missing = this.#stats.add(view.sequence, view.timestamp, view.ssrc, nowMs);
    const ticks = this.#clock.unwrap(view.timestamp);
    if (!this.#started) {
      this.#started = true;
      if (this.#early !== null) this.senderReport(this.#early, nowMs);
      this.#early = null;
    }
    this.#depacketizer.push(data.subarray(view.payloadStart, view.payloadEnd), view.marker, ticks, missing !== 0);
  }

  senderReport(info: SenderInfo, nowMs: number): void {
    if (!this.#started) {
      this.#early = info;
      return;
    }
    this.#stats.addSenderReport(ntpMiddle(info.ntpSeconds, info.ntpFraction), nowMs);
    // RFC 3550 §6.4.1: a sender without a clock writes zero.
    if (info.ntpSeconds === 0 && info.ntpFraction === 0) return;
    this.#onSync?.(this.#clock.peek(info.rtpTimestamp), ntpToUnixMs(info.ntpSeconds, info.ntpFraction));
  }

  /** The block for a receiver report; null before the first packet. */
  report(nowMs: number): ReportBlock | null {
    return this.#stats.report(nowMs);
  }

  /** Packets lost since the last call. */
  takeLoss(): number {
    const loss = this.#stats.lost - this.#lossTaken;
    this.#lossTaken = this.#stats.lost;
    return loss;
  }

  /**
   * Old live555 (Reolink up to 2017, scottlamb/retina#17) goes on sending a dead session's packets to whoever gets its
   * socket's number next. They differ by their SSRC.
   */
  #admit(ssrc: number, nowMs: number): boolean {
    if (this.#announcedSsrc === undefined) return true;
    if (ssrc === this.#announcedSsrc) {
      this.#announcedSeenMs = nowMs;
      return true;
    }
    return nowMs - this.#announcedSeenMs > SSRC_HOLD_MS;
  }
}
