import type { PacketLog } from './packet-log.ts';

/** Where packets go: a libdatachannel track. Copies the bytes before it returns; throws when it is closed. */
export interface PacketSink {
  sendMessageBinary(packet: Buffer): boolean;
}

/**
 * Packets and where their presentation times lie on the viewer's time line, which is that of the stream that it began
 * with: `shift` ticks later.
 */
export interface Feeding {
  readonly log: PacketLog;
  readonly shift: number;
}

export interface SenderOptions {
  readonly log: PacketLog;
  readonly sink: PacketSink;
  readonly ssrc: number;
  readonly payloadType: number;
  readonly clockRateHz: number;
  readonly kind: 'video' | 'audio';
  /** Random start of the sequence numbers (16 bit) and of the time stamps (32 bit), RFC 3550 §5.1. */
  readonly firstSequence: number;
  readonly firstTimestamp: number;
}

/** A run of packets that are numbered without a gap and share one rule for their time stamps. */
interface Run extends Feeding {
  readonly sequence: number;
  readonly index: number;
  /** Presentation time (on the viewer's time line) of the first packet, and what it is sent as. */
  readonly fromPts: number;
  readonly fromOut: number;
  /** From this presentation time on, times go out as they are. */
  readonly liveAtPts: number;
}

/** What is to be sent instead, from a key frame on. */
interface Next extends Feeding {
  /** Not an older key frame than this one. */
  readonly fromIndex: number;
  readonly onShown: () => void;
}

/** A GOP is given to a newcomer at 20 times its speed, or within this, as far as the pace below allows. */
const CATCH_UP_RATE = 20;
const CATCH_UP_MAX_MS = 150;
/**
 * Chromium gives its socket 64 KiB, which Linux takes for about 50 packets; what comes faster than they are fetched is
 * lost, and asking for it again makes it worse. So large pictures are spread: 40 packets at once, then about 100 Mb/s.
 */
const BURST_PACKETS = 40;
const PACKETS_PER_MS = 10;
/**
 * libsrtp refuses to send a packet more than 1,024 behind the newest (its window), and the browser would not take it
 * either.
 */
const RESEND_WINDOW = 1_000;
/** Retransmissions per second at most, and in a row: enough for a lost key frame, not enough to be abused. */
const RESEND_PER_S = 1_500;
const RESEND_BURST = 600;
/** Within a viewer's estimate: this share of it, in packets of about this size, and never fewer than so many. */
const RESEND_SHARE = 0.5;
const RESEND_BYTES = 1_200;
const LEAST_RESENDS_PER_S = 50;
const MAX_RUNS = 8;

/**
 * Sends one track to one viewer. It begins with the last key frame, as fast as decoders like it, with the time stamps
 * squeezed so that the GOP ends right where live begins: the viewer's jitter buffer sees packets that arrive exactly
 * on time, and shows live from the start.
 */
export class Sender {
  readonly #options: SenderOptions;
  #feeding: Feeding;
  #next: Next | undefined;
  readonly #runs: Run[] = [];
  #cursor = -1;
  #sequence: number;
  #lastOut = Number.NEGATIVE_INFINITY;
  /** While catching up: when that began; else 0. */
  #catchUpSinceMs = 0;
  #started = false;
  /** Numbers (extended) to be sent again, oldest request first. */
  readonly #resends = new Set<number>();
  #resendPerS = RESEND_PER_S;
  #resendBudget = RESEND_BURST;
  #resendAtMs = 0;
  /** How many packets may go out now. */
  #tokens = BURST_PACKETS;
  #tokensAtMs = 0;
  packets = 0;
  bytes = 0;
  units = 0;
  resent = 0;
  /** Packets that the socket did not take. */
  dropped = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#feeding = { log: options.log, shift: 0 };
    this.#sequence = options.firstSequence;
  }

  get ssrc(): number {
    return this.#options.ssrc;
  }
  get kind(): 'video' | 'audio' {
    return this.#options.kind;
  }
  get clockRateHz(): number {
    return this.#options.clockRateHz;
  }
  /** Whether something is to be sent when this log has grown. */
  takes(log: PacketLog): boolean {
    return this.#feeding.log === log || this.#next?.log === log;
  }
  /** The newest presentation time that there is to send, on the viewer's time line, and when it came; NaN before. */
  get newest(): { readonly pts: number; readonly atMs: number } {
    const { log, shift } = this.#feeding;
    return { pts: log.newestPts + shift, atMs: log.newestAtMs };
  }
  get catchingUp(): boolean {
    return this.#catchUpSinceMs > 0;
  }
  /** There is something to send that had to wait: call `pump` every few ms. */
  get busy(): boolean {
    const { log } = this.#feeding;
    return this.#started && (this.#resends.size > 0 || (this.#cursor >= 0 && this.#cursor < log.head));
  }
  /** Nothing was sent yet, so there is nothing to report about. */
  get idle(): boolean {
    return this.packets === 0;
  }

  /** The connection stands: begins with the last key frame (audio: with the next packet). */
  start(nowMs: number): void {
    this.#started = true;
    if (this.#options.kind === 'audio') {
      this.#cursor = this.#options.log.head;
      return;
    }
    if (!this.replay(nowMs)) this.pump(nowMs);
  }

  /**
   * Sends another stream of the same codec from its last key frame on, or with `live` from its next one, which costs
   * the connection less. Until that is there the present one goes on; asking for the present one takes that back.
   * Numbers and times go on, so that the receiver sees one stream whose picture changes its size.
   */
  show(feeding: Feeding, live: boolean, nowMs: number, onShown: () => void): void {
    if (feeding.log === this.#feeding.log) {
      this.#next = undefined;
      onShown();
      return;
    }
    this.#next = { ...feeding, fromIndex: live ? feeding.log.head : 0, onShown };
    this.pump(nowMs);
  }

  /** What was to be shown next has ended. */
  cancel(): void {
    this.#next = undefined;
  }

  #showNext(nowMs: number): void {
    const next = this.#next;
    if (next === undefined || next.log.keyIndex < Math.max(0, next.fromIndex)) return;
    const { log } = this.#feeding;
    // A picture that was begun is finished first.
    const within = this.#cursor > log.base && this.#cursor < log.head;
    if (within && log.pts(this.#cursor) === log.pts(this.#cursor - 1)) return;
    this.#next = undefined;
    this.#feeding = next;
    this.replay(nowMs);
    next.onShown();
  }

  /** Goes back to the last key frame: the viewer has lost its picture. Returns whether there is one. */
  replay(nowMs: number): boolean {
    const { clockRateHz } = this.#options;
    const { log, shift } = this.#feeding;
    if (!this.#started || log.keyIndex < 0) return false;
    const fromPts = log.pts(log.keyIndex) + shift;
    const newestPts = log.newestPts + shift;
    const spanTicks = Math.max(0, newestPts - fromPts);
    const wishedMs = Math.min(((spanTicks / clockRateHz) * 1000) / CATCH_UP_RATE, CATCH_UP_MAX_MS);
    const durationMs = Math.max(wishedMs, (log.head - log.keyIndex - BURST_PACKETS) / PACKETS_PER_MS);
    const durationTicks = (durationMs / 1000) * clockRateHz;
    // A camera that is away moves its viewers' time on all the same. If old pictures took up that time only after the
    // silence, those that come then would look too early by all of it, and Chromium would hold them back for seconds.
    const silentTicks = Math.max(0, Math.round(((nowMs - log.newestAtMs) / 1000) * clockRateHz));
    // Never behind what was sent already: a decoder takes a time that goes back for a broken stream.
    const nowOut = newestPts + silentTicks;
    const fromOut = Math.max(nowOut, Math.ceil(this.#lastOut) + 1);
    // A stream that comes later than the one before it has to make up for that: at half the speed, as pictures that
    // have the same time would be dropped.
    const lateTicks = fromOut - nowOut;
    this.#begin({
      log,
      shift,
      sequence: this.#sequence,
      index: log.keyIndex,
      fromPts,
      fromOut,
      liveAtPts: Math.max(nowOut + durationTicks, fromOut + Math.max(1, lateTicks)),
    });
    this.#catchUpSinceMs = nowMs;
    this.pump(nowMs);
    return true;
  }

  /** Called after the log has grown, and every few ms while `busy`. */
  pump(nowMs: number): void {
    if (!this.#started) return;
    this.#showNext(nowMs);
    const { log, shift } = this.#feeding;
    this.#tokens = Math.min(BURST_PACKETS, this.#tokens + (nowMs - this.#tokensAtMs) * PACKETS_PER_MS);
    this.#tokensAtMs = nowMs;
    this.#resendSome();
    if (this.#cursor < 0 || this.#cursor < log.base) {
      // Nothing to start with yet, or so slow that what comes next is gone: on from the newest key frame.
      if (this.#options.kind === 'audio') this.#cursor = log.head;
      else if (!this.replay(nowMs)) this.#cursor = -1;
      return;
    }
    const run = this.#runs.at(-1);
    if (run === undefined) {
      if (this.#cursor >= log.head) return;
      const pts = log.pts(this.#cursor) + shift;
      const live = { fromPts: pts, fromOut: pts, liveAtPts: pts };
      this.#begin({ log, shift, sequence: this.#sequence, index: this.#cursor, ...live });
      this.pump(nowMs);
      return;
    }
    const dueOut = this.catchingUp
      ? run.fromOut + ((nowMs - this.#catchUpSinceMs) / 1000) * this.#options.clockRateHz
      : Number.POSITIVE_INFINITY;
    while (this.#cursor < log.head) {
      if (this.#tokens < 1) return;
      const out = outTime(run, this.#cursor);
      if (out > dueOut) return;
      if (out > this.#lastOut) this.units++;
      this.#lastOut = Math.max(this.#lastOut, out);
      if (!this.#send(log.packet(this.#cursor), this.#sequence, out)) this.dropped++;
      this.#cursor++;
      this.#sequence++;
    }
    this.#catchUpSinceMs = 0;
  }

  /** Notes a packet that the viewer misses (RFC 4585 §6.2.1), for the next `pump`. `sequence` is the 16-bit number. */
  resend(sequence: number, nowMs: number): void {
    const behind = (this.#sequence - 1 - sequence) & 0xffff;
    const extended = this.#sequence - 1 - behind;
    if (behind > RESEND_WINDOW || this.#resends.has(extended)) return;
    this.#resendBudget = Math.min(
      Math.min(RESEND_BURST, this.#resendPerS),
      this.#resendBudget + ((nowMs - this.#resendAtMs) / 1000) * this.#resendPerS,
    );
    this.#resendAtMs = nowMs;
    if (this.#resendBudget < 1) return;
    this.#resendBudget--;
    this.#resends.add(extended);
  }

  /**
   * The viewer's estimate of its connection, in bit/s: what is sent again takes half of it at most. A browser asks for a
   * packet again with each round trip; giving in to that fills a connection that is full already for seconds.
   */
  limitResends(estimateBps: number): void {
    const perS = (estimateBps * RESEND_SHARE) / (8 * RESEND_BYTES);
    this.#resendPerS = Math.min(RESEND_PER_S, Math.max(LEAST_RESENDS_PER_S, perS));
  }

  #resendSome(): void {
    for (const sequence of this.#resends) {
      if (this.#tokens < 1) return;
      this.#resends.delete(sequence);
      const run = this.#runs.findLast((one) => one.sequence <= sequence);
      if (run === undefined || this.#sequence - 1 - sequence > RESEND_WINDOW) continue;
      const index = run.index + sequence - run.sequence;
      const packet = run.log.packet(index);
      if (packet !== undefined && this.#send(packet, sequence, outTime(run, index))) this.resent++;
    }
  }

  /** The time stamp that stands for a presentation time of the viewer's time line, for sender reports. */
  timestampFor(pts: number): number {
    return (Math.round(pts) + this.#options.firstTimestamp) >>> 0;
  }

  #begin(run: Run): void {
    this.#runs.push(run);
    if (this.#runs.length > MAX_RUNS) this.#runs.shift();
    this.#cursor = run.index;
  }

  #send(packet: Buffer | undefined, sequence: number, out: number): boolean {
    const { sink, payloadType, ssrc } = this.#options;
    if (packet === undefined) return false;
    const timestamp = this.timestampFor(out);
    packet[1] = ((packet[1] ?? 0) & 0x80) | payloadType;
    packet[2] = (sequence >>> 8) & 0xff;
    packet[3] = sequence & 0xff;
    packet[4] = timestamp >>> 24;
    packet[5] = (timestamp >>> 16) & 0xff;
    packet[6] = (timestamp >>> 8) & 0xff;
    packet[7] = timestamp & 0xff;
    packet[8] = ssrc >>> 24;
    packet[9] = (ssrc >>> 16) & 0xff;
    packet[10] = (ssrc >>> 8) & 0xff;
    packet[11] = ssrc & 0xff;
    this.#tokens--;
    this.packets++;
    this.bytes += packet.length - 12;
    return sink.sendMessageBinary(packet);
  }
}

/** What the packet at `index` of the run's log is sent as. */
function outTime(run: Run, index: number): number {
  const pts = run.log.pts(index) + run.shift;
  if (pts >= run.liveAtPts) return pts;
  const scale = (run.liveAtPts - run.fromOut) / (run.liveAtPts - run.fromPts);
  return run.fromOut + (pts - run.fromPts) * scale;
}
