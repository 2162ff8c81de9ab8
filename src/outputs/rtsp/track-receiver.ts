import { randomInt } from 'node:crypto';
import type { SourceSink } from '../../core/source.ts';
import type { Depacketizer, OnProblem, RtpMedia } from '../../wire/codecs/depacketizer.ts';
import { makeRtpView, parseRtcp, ReorderBuffer, readRtp, writeReceiverReport } from '../../wire/rtp/index.ts';
import { MediaReceiver } from '../../wire/rtp/media-receiver.ts';

/** One published track: RTP packets in, access units to the sink. */
export class TrackReceiver {
  readonly #receiver: MediaReceiver;
  readonly #view = makeRtpView();
  readonly #reorder: ReorderBuffer<Buffer> | undefined;
  readonly #ssrc = randomInt(2 ** 32 - 1);

  /** @param unordered packets come over UDP: they are put in order first */
  constructor(media: RtpMedia, index: number, sink: SourceSink, onProblem: OnProblem, unordered: boolean) {
    this.#receiver = new MediaReceiver({
      media,
      onUnit: (unit) => sink.unit({ ...unit, track: index }),
      onProblem,
      onSync: (ticks, ntpUnixMs) => sink.sync(index, ticks, ntpUnixMs),
    });
    this.#reorder = unordered ? new ReorderBuffer<Buffer>((packet) => this.#take(packet, 0, packet.length)) : undefined;
  }

  get format(): Depacketizer['format'] {
    return this.#receiver.format;
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
    const nowMs = performance.now();
    for (const packet of parseRtcp(data, start, end)) {
      if (packet.kind === 'sr') this.#receiver.senderReport(packet, nowMs);
    }
  }

  /** Receiver report for the publisher; null before the first packet. */
  report(): Buffer | null {
    const block = this.#receiver.report(performance.now());
    return block === null ? null : writeReceiverReport(this.#ssrc, [block]);
  }

  #take(data: Buffer, start: number, end: number): void {
    readRtp(data, start, end, this.#view);
    this.#receiver.packet(data, this.#view, performance.now());
  }
}
