import type { ReportBlock } from './rtcp.ts';

/**
 * What a receiver must know of one SSRC for its receiver reports and to notice loss (RFC 3550 §6.4.1, §A.3, §A.8).
 * Fed in order of processing (after reordering).
 */
export class ReceiverStats {
  readonly #clockRateHz: number;
  #ssrc = -1;
  #base = 0;
  #highest = -1;
  #cycles = 0;
  #received = 0;
  #expectedPrior = 0;
  #receivedPrior = 0;
  #jitter = 0;
  #lastTransit = Number.NaN;
  #lastSrMiddle = 0;
  #lastSrMs = Number.NaN;
  /** Packets missing so far. */
  lost = 0;

  constructor(clockRateHz: number) {
    this.#clockRateHz = clockRateHz;
  }

  get ssrc(): number {
    return this.#ssrc;
  }
  get received(): number {
    return this.#received;
  }

  /**
   * Takes a packet's header. Returns how many packets are missing right before it; -1 when the numbers don't continue
   * (new SSRC, or a step back): then nothing is known of what was missed. A repeated packet counts as a step back.
   */
  add(sequence: number, timestamp: number, ssrc: number, nowMs: number): number {
    this.#addJitter(timestamp, nowMs);
    if (ssrc !== this.#ssrc || this.#highest < 0) {
      const first = this.#ssrc < 0;
      this.#ssrc = ssrc;
      this.#restart(sequence);
      return first ? 0 : -1;
    }
    const step = (sequence - this.#highest) & 0xffff;
    if (step === 0 || step >= 0x8000) {
      this.#restart(sequence);
      return -1;
    }
    if (sequence < this.#highest) this.#cycles++;
    this.#highest = sequence;
    this.#received++;
    this.lost += step - 1;
    return step - 1;
  }

  /** @param ntpMiddle the middle 32 bits of the report's NTP time */
  addSenderReport(ntpMiddle: number, nowMs: number): void {
    this.#lastSrMiddle = ntpMiddle;
    this.#lastSrMs = nowMs;
  }

  /** The block for the next receiver report; null before the first packet. */
  report(nowMs: number): ReportBlock | null {
    if (this.#highest < 0) return null;
    const extended = this.#cycles * 0x10000 + this.#highest;
    const expected = extended - this.#base + 1;
    const expectedInterval = expected - this.#expectedPrior;
    const receivedInterval = this.#received - this.#receivedPrior;
    this.#expectedPrior = expected;
    this.#receivedPrior = this.#received;
    const lostInterval = expectedInterval - receivedInterval;
    const fraction =
      expectedInterval <= 0 || lostInterval <= 0 ? 0 : Math.floor((lostInterval * 256) / expectedInterval);
    return {
      ssrc: this.#ssrc,
      fractionLost: Math.min(255, fraction),
      packetsLost: Math.max(-0x800000, Math.min(0x7fffff, expected - this.#received)),
      highestSequence: extended >>> 0,
      jitter: Math.floor(this.#jitter) >>> 0,
      lastSr: this.#lastSrMiddle,
      delaySinceLastSr: Number.isNaN(this.#lastSrMs) ? 0 : Math.floor(((nowMs - this.#lastSrMs) * 65_536) / 1000) >>> 0,
    };
  }

  #restart(sequence: number): void {
    this.#base = sequence;
    this.#highest = sequence;
    this.#cycles = 0;
    this.#received = 1;
    this.#expectedPrior = 0;
    this.#receivedPrior = 0;
  }

  #addJitter(timestamp: number, nowMs: number): void {
    const transit = (nowMs * this.#clockRateHz) / 1000 - timestamp;
    if (!Number.isNaN(this.#lastTransit)) {
      const change = Math.abs(transit - this.#lastTransit);
      // A wrap or a jump of the camera's clock is no jitter.
      if (change < this.#clockRateHz * 10) this.#jitter += (change - this.#jitter) / 16;
    }
    this.#lastTransit = transit;
  }
}
