import { ReceiverStats, writeNack, writePli, writeReceiverReport, writeSdes } from '../../../wire/rtp/index.ts';

const CNAME = 'hearthcam';
/** How long a packet is waited for before the ones behind it are handed on without it. */
const MAX_WAIT_MS = 150;
const NACK_EVERY_MS = 30;
const MAX_NACKED = 200;
const MAX_HELD = 512;
const PLI_EVERY_MS = 500;

export interface ReceiverOptions {
  /** 0: not known before the first packet. */
  readonly ssrc: number;
  readonly ownSsrc: number;
  readonly video: boolean;
  readonly clockRateHz: number;
  /** Sends RTCP to the publisher. */
  readonly send: (rtcp: Buffer) => void;
  /** Gets each packet once, in order. */
  readonly deliver: (packet: Buffer) => void;
}

/** Puts the packets of one published track in order, asks for lost ones again, and reports to the publisher. */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #stats: ReceiverStats;
  readonly #held = new Map<number, Buffer>();
  /** Unwrapped number of the packet that is handed on next; NaN before the first. */
  #next = Number.NaN;
  #ssrc: number;
  #highest = 0;
  #waitingSinceMs = 0;
  #nackAtMs = 0;
  #pliAtMs = Number.NEGATIVE_INFINITY;
  #pliWanted = false;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#ssrc = options.ssrc;
    this.#stats = new ReceiverStats(options.clockRateHz);
  }

  /** 0 while it is not known. */
  get ssrc(): number {
    return this.#ssrc;
  }

  /** Takes an RTP packet; its bytes belong to the receiver from here on. */
  push(packet: Buffer, nowMs: number): void {
    if (packet.length < 12) return;
    if (this.#ssrc === 0) this.#ssrc = packet.readUInt32BE(8);
    const sequence = packet.readUInt16BE(2);
    if (Number.isNaN(this.#next)) {
      this.#next = sequence;
      this.#highest = sequence;
    }
    const unwrapped = this.#highest + (((sequence - this.#highest) << 16) >> 16);
    this.#highest = Math.max(this.#highest, unwrapped);
    if (unwrapped < this.#next || this.#held.has(unwrapped)) return;
    if (unwrapped === this.#next) {
      this.#handOn(packet, nowMs);
      this.#drain(nowMs);
      return;
    }
    if (this.#held.size === 0) {
      this.#waitingSinceMs = nowMs;
      this.#nackAtMs = Number.NEGATIVE_INFINITY;
    }
    this.#held.set(unwrapped, packet);
    this.poll(nowMs);
  }

  /** Asks again, or gives up; called every few ms, and when a packet is held back. */
  poll(nowMs: number): void {
    if (this.#pliWanted) this.wantKeyframe(nowMs);
    if (this.#held.size === 0) return;
    if (nowMs - this.#waitingSinceMs > MAX_WAIT_MS || this.#held.size > MAX_HELD) {
      this.#next = Math.min(...this.#held.keys());
      this.#drain(nowMs);
      this.wantKeyframe(nowMs);
      return;
    }
    if (nowMs - this.#nackAtMs < NACK_EVERY_MS) return;
    this.#nackAtMs = nowMs;
    const missing: number[] = [];
    for (let at = this.#next; at < this.#highest && missing.length < MAX_NACKED; at++) {
      if (!this.#held.has(at)) missing.push(at & 0xffff);
    }
    this.#options.send(writeNack(this.#options.ownSsrc, this.#ssrc, missing));
  }

  /** Asks for a key frame, at most twice a second; once it is known whom to ask. */
  wantKeyframe(nowMs: number): void {
    if (!this.#options.video) return;
    this.#pliWanted = this.#ssrc === 0 || nowMs - this.#pliAtMs < PLI_EVERY_MS;
    if (this.#pliWanted) return;
    this.#pliAtMs = nowMs;
    this.#options.send(writePli(this.#options.ownSsrc, this.#ssrc));
  }

  onSenderReport(ntpMiddle: number, nowMs: number): void {
    this.#stats.addSenderReport(ntpMiddle, nowMs);
  }

  /** Receiver report, about once a second: what the publisher's rate control goes by. */
  report(nowMs: number): void {
    const block = this.#stats.report(nowMs);
    if (block === null) return;
    const { ownSsrc, send } = this.#options;
    send(Buffer.concat([writeReceiverReport(ownSsrc, [block]), writeSdes(ownSsrc, CNAME)]));
  }

  #drain(nowMs: number): void {
    for (let packet = this.#held.get(this.#next); packet !== undefined; packet = this.#held.get(this.#next)) {
      this.#held.delete(this.#next);
      this.#handOn(packet, nowMs);
    }
    this.#waitingSinceMs = nowMs;
  }

  #handOn(packet: Buffer, nowMs: number): void {
    this.#stats.add(packet.readUInt16BE(2), packet.readUInt32BE(4), packet.readUInt32BE(8), nowMs);
    this.#next++;
    this.#options.deliver(packet);
  }
}
