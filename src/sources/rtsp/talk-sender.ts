import type { AccessUnit } from '../../core/media.ts';
import { TalkPacer } from '../../core/talk-pacer.ts';
import { RTP_HEADER_BYTES, writeRtpHeader } from '../../wire/rtp/header.ts';
import { unixMsToNtp, writeSdes, writeSenderReport } from '../../wire/rtp/rtcp.ts';
import type { TalkMedium } from './talk-media.ts';

export interface RtpTalkOptions {
  readonly medium: TalkMedium;
  readonly ssrc: number;
  readonly live: boolean;
  readonly sendRtp: (packet: Buffer) => void;
  readonly sendRtcp: (packet: Buffer) => void;
}

/** RFC 3550 §6.2: one report in five seconds. */
const REPORT_MS = 5_000;
const LONG_PACKET_BYTES = 1024;
/** RFC 3640 §3.3.6 (AAC-hbr): a header of 16 bits: 13 bits size, 3 bits index. */
const AU_HEADER_BITS = 16;

/** A voice as RTP packets: paced, with times and numbers without gaps, and sender reports. */
export class RtpTalk {
  readonly #options: RtpTalkOptions;
  readonly #pacer: TalkPacer;
  readonly #timer: NodeJS.Timeout;
  #sequence = Math.floor(Math.random() * 0x8000);
  #packets = 0;
  #octets = 0;

  constructor(options: RtpTalkOptions) {
    this.#options = options;
    const { codec, longPackets } = options.medium;
    const long = longPackets && (codec.codec === 'pcma' || codec.codec === 'pcmu');
    this.#pacer = new TalkPacer({
      codec,
      live: options.live,
      ...(long ? { frameBytes: LONG_PACKET_BYTES } : {}),
      // Reolink wants the marker on all (AlexxIT/go2rtc#331); RFC 3551 §4.1: on the first one behind a silence.
      send: ({ data, ticks, first }) => this.#send(data, ticks, first || long),
    });
    this.#timer = setInterval(() => this.#report(), REPORT_MS).unref();
  }

  push(unit: Pick<AccessUnit, 'data'>): void {
    this.#pacer.push(unit);
  }

  finish(): Promise<void> {
    return this.#pacer.finish();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#pacer.close();
  }

  #send(data: Buffer, ticks: number, marker: boolean): void {
    const { medium, ssrc, sendRtp } = this.#options;
    const isAac = medium.codec.codec === 'aac';
    const packet = Buffer.allocUnsafe(RTP_HEADER_BYTES + (isAac ? 4 : 0) + data.length);
    const timestamp = ticks % 2 ** 32;
    // RFC 3640 §3.1: the marker says that a frame is complete here.
    writeRtpHeader(packet, 0, medium.payloadType, marker || isAac, this.#sequence, timestamp, ssrc);
    let at = RTP_HEADER_BYTES;
    if (isAac) {
      packet.writeUInt16BE(AU_HEADER_BITS, at);
      packet.writeUInt16BE((data.length & 0x1fff) << 3, at + 2);
      at += 4;
    }
    data.copy(packet, at);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#packets++;
    this.#octets += packet.length - RTP_HEADER_BYTES;
    sendRtp(packet);
    // The first one at once: it tells the camera which time belongs to which.
    if (this.#packets === 1) this.#report();
  }

  #report(): void {
    if (this.#packets === 0) return;
    const { ssrc, sendRtcp } = this.#options;
    const { seconds, fraction } = unixMsToNtp(Date.now());
    const report = writeSenderReport({
      ssrc,
      ntpSeconds: seconds,
      ntpFraction: fraction,
      rtpTimestamp: this.#pacer.ticks % 2 ** 32,
      packetCount: this.#packets,
      octetCount: this.#octets,
    });
    sendRtcp(Buffer.concat([report, writeSdes(ssrc, 'hearthcam')]));
  }
}
