import { randomInt } from 'node:crypto';
import type { SourceSink } from '../../core/source.ts';
import {
  createDepacketizer,
  type Depacketizer,
  type OnProblem,
  type RtpMedia,
} from '../../wire/codecs/depacketizer.ts';
import {
  makeRtpView,
  ntpMiddle,
  ntpToUnixMs,
  parseRtcp,
  ReceiverStats,
  ReorderBuffer,
  readRtp,
  TimestampUnwrapper,
  writeReceiverReport,
} from '../../wire/rtp/index.ts';

/** One published track: RTP packets in, access units to the sink. */
export class TrackReceiver {
  readonly media: RtpMedia;
  readonly #index: number;
  readonly #sink: SourceSink;
  readonly #depacketizer: Depacketizer;
  readonly #stats: ReceiverStats;
  readonly #unwrap = new TimestampUnwrapper();
  readonly #view = makeRtpView();
  readonly #reorder: ReorderBuffer<Buffer> | undefined;
  readonly #ssrc = randomInt(2 ** 32 - 1);

  /** @param unordered packets come over UDP: they are put in order first */
  constructor(media: RtpMedia, index: number, sink: SourceSink, onProblem: OnProblem, unordered: boolean) {
    this.media = media;
    this.#index = index;
    this.#sink = sink;
    this.#stats = new ReceiverStats(media.clockRateHz);
    this.#depacketizer = createDepacketizer(media, (unit) => sink.unit({ ...unit, track: index }), onProblem);
    this.#reorder = unordered ? new ReorderBuffer<Buffer>((packet) => this.#take(packet, 0, packet.length)) : undefined;
  }

  get format(): Depacketizer['format'] {
    return this.#depacketizer.format;
  }

  /** @throws WireError when it is no RTP packet */
  rtp(data: Buffer, start: number, end: number): void {
    if (this.#reorder === undefined) {
      this.#take(data, start, end);
      return;
    }
    readRtp(data, start, end, this.#view);
    // A datagram is a buffer of its own, so it may wait.
    this.#reorder.push(this.#view.sequence, data.subarray(start, end), performance.now());
  }

  /** Gives up late packets; to be called every few ten milliseconds over UDP. */
  poll(): void {
    this.#reorder?.poll(performance.now());
  }

  /** @throws WireError when it is no RTCP packet */
  rtcp(data: Buffer, start: number, end: number): void {
    for (const packet of parseRtcp(data, start, end)) {
      if (packet.kind !== 'sr') continue;
      const { ntpSeconds, ntpFraction, rtpTimestamp } = packet;
      this.#stats.addSenderReport(ntpMiddle(ntpSeconds, ntpFraction), performance.now());
      // A sender without a clock puts zero (RFC 3550 §6.4.1).
      if (ntpSeconds === 0 || this.#stats.received === 0) continue;
      this.#sink.sync(this.#index, this.#unwrap.peek(rtpTimestamp), ntpToUnixMs(ntpSeconds, ntpFraction));
    }
  }

  /** Receiver report for the publisher; null before the first packet. */
  report(): Buffer | null {
    const block = this.#stats.report(performance.now());
    return block === null ? null : writeReceiverReport(this.#ssrc, [block]);
  }

  #take(data: Buffer, start: number, end: number): void {
    const view = this.#view;
    readRtp(data, start, end, view);
    const missing = this.#stats.add(view.sequence, view.timestamp, view.ssrc, performance.now());
    const payload = data.subarray(view.payloadStart, view.payloadEnd);
    this.#depacketizer.push(payload, view.marker, this.#unwrap.unwrap(view.timestamp), missing !== 0);
  }
}
