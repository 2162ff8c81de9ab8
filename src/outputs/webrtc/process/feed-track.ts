import { describeError } from '../../../core/errors.ts';
import type { TrackFormat } from '../../../core/media.ts';
import { makeRtpSender, PacketPlan, packetsSize, planUnit, writePackets } from '../../../wire/codecs/packetizer.ts';
import { PacketLog } from './packet-log.ts';

/**
 * RTP payload per packet. With RTP header (12), SRTP tag (10…16), UDP and IPv6 (48) this stays within the 1,280 bytes
 * that every IPv6 path carries; browsers and go2rtc use the same.
 */
const MAX_PAYLOAD_BYTES = 1_188;

/** One plan for all tracks: it is used and done with within one call. */
const plan = new PacketPlan();
const ends: number[] = [];

/** A track that is fed from the server: cuts each access unit into packets, once for all viewers. */
export class FeedTrack {
  readonly log = new PacketLog();
  /** Numbers, payload type and SSRC are written per viewer at the time of sending. */
  readonly #blank = makeRtpSender(0, 0, 0, 0);
  #format: TrackFormat | undefined;

  setFormat(format: TrackFormat): void {
    this.#format = format;
  }

  /** @returns what was wrong with the unit, or null */
  add(data: Buffer, pts: number, key: boolean, nowMs: number): string | null {
    const format = this.#format;
    if (format === undefined) return 'a unit came before its format';
    ends.length = 0;
    try {
      planUnit({ format, key, data }, MAX_PAYLOAD_BYTES, plan);
    } catch (error) {
      return describeError(error);
    }
    const bytes = Buffer.allocUnsafeSlow(packetsSize(plan));
    writePackets(plan, data, this.#blank, 0, bytes, 0, ends);
    const isKey = key && format.kind === 'video';
    let from = 0;
    ends.forEach((end, packet) => {
      this.log.add(bytes.subarray(from, end), pts + plan.tickOffset(packet), isKey && packet === 0);
      from = end;
    });
    if (ends.length > 0) this.log.endUnit(pts, isKey, nowMs);
    return null;
  }
}
