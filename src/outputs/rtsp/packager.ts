import type { AccessUnit } from '../../core/media.ts';
import type { Stream } from '../../core/stream.ts';
import { PacketPlan, planUnit, type RtpSender, rtpTimestamp } from '../../wire/codecs/packetizer.ts';
import { type Layout, TrackSender, type TrackStart } from './layout.ts';

/** Pictures given to a new viewer lie so far apart, so that it shows them all at once and is at live. */
const JOIN_STEP_MS = 1;

/** One unit on its way out. */
export interface PlannedOut {
  readonly unit: AccessUnit;
  readonly track: TrackSender;
  readonly plan: PacketPlan;
}

/** A picture of the cached GOP with the place it is given in time and sequence. */
export interface JoinUnit {
  readonly unit: AccessUnit;
  readonly track: TrackSender;
  readonly ticks: number;
  readonly sender: RtpSender;
}

export interface JoinPlan {
  readonly units: readonly JoinUnit[];
  /** False: only a key frame (or nothing) could be given, live pictures make sense from the next key frame on. */
  readonly complete: boolean;
  /** By track of the layout. */
  readonly starts: readonly TrackStart[];
}

/** What the shared packagers for TCP and UDP have in common: which units, cut how, under which numbers. */
export class Packager {
  readonly layout: Layout;
  readonly senders: readonly TrackSender[];
  readonly hasVideo: boolean;
  readonly cname: string;
  readonly #stream: Stream;
  readonly #byTrack = new Map<number, TrackSender>();
  readonly #plans: PacketPlan[] = [];
  readonly #planned: PlannedOut[] = [];
  /** Latest stream time handed on. */
  #lastMs = Number.NaN;

  constructor(stream: Stream, layout: Layout) {
    this.#stream = stream;
    this.layout = layout;
    this.cname = stream.name.replace(/[^\x20-\x7e]/g, '').slice(0, 64) || 'hearthcam';
    this.senders = layout.tracks.map((track, index) => new TrackSender(track, index));
    for (const sender of this.senders) this.#byTrack.set(sender.layout.trackId, sender);
    this.hasVideo = layout.tracks.some((track) => track.kind === 'video');
  }

  /** Cuts the units of a burst that belong to the layout. The result is reused by the next call. */
  plan(units: readonly AccessUnit[]): readonly PlannedOut[] {
    const planned = this.#planned;
    planned.length = 0;
    for (const unit of units) {
      const track = this.#byTrack.get(unit.trackId);
      if (track === undefined) continue;
      const plan = this.#planAt(planned.length);
      planUnit(unit, this.layout.maxPayloadBytes, plan);
      if (plan.count === 0) continue;
      planned.push({ unit, track, plan });
      track.sent(unit);
      const ms = (unit.pts * 1000) / unit.format.clockRateHz;
      if (!(ms <= this.#lastMs)) this.#lastMs = ms;
    }
    return planned;
  }

  /** Whether a viewer that left pictures out may go on with these units. */
  startsWithKey(planned: readonly PlannedOut[]): boolean {
    if (!this.hasVideo) return true;
    for (const { unit } of planned) if (unit.format.kind === 'video') return unit.key;
    return false;
  }

  /**
   * What a viewer who joins now is given first: the pictures since the last key frame, in their order of display but
   * close together in time right before the live ones, numbered so that the next live packet follows.
   */
  join(plan: PacketPlan): JoinPlan {
    const gop = this.#stream.gop();
    const started = new Set<number>();
    const pictures = gop.units.filter((unit) => {
      if (unit.format.kind !== 'video' || !this.#byTrack.has(unit.trackId)) return false;
      if (unit.key) started.add(unit.trackId);
      return started.has(unit.trackId);
    });
    // Pictures still to come may be shown before those that are decoded early (B-frames), never before this:
    const last = pictures.at(-1);
    const edgeMs = last === undefined ? this.#lastMs : (last.dts * 1000) / last.format.clockRateHz;
    const order = pictures
      .map((unit) => (unit.pts * 1000) / unit.format.clockRateHz)
      .filter((ms) => ms <= edgeMs)
      .sort((one, two) => one - two);
    const units: JoinUnit[] = [];
    const copies = this.senders.map(({ sender }) => ({ ...sender, packets: 0, octets: 0 }));
    const counts = this.senders.map(() => 0);
    for (const unit of pictures) {
      const track = this.#byTrack.get(unit.trackId);
      const sender = track === undefined ? undefined : copies[track.index];
      if (track === undefined || sender === undefined) continue;
      this.planJoin(unit, plan);
      counts[track.index] = (counts[track.index] ?? 0) + plan.count;
      const ownMs = (unit.pts * 1000) / unit.format.clockRateHz;
      const atMs = ownMs > edgeMs ? ownMs : edgeMs - (order.length - 1 - order.indexOf(ownMs)) * JOIN_STEP_MS;
      units.push({ unit, track, sender, ticks: Math.round((atMs * track.layout.clockRateHz) / 1000) });
    }
    const firstMs = edgeMs - Math.max(0, order.length - 1) * JOIN_STEP_MS;
    const starts = this.senders.map((track, index) => {
      const sender = copies[index] ?? track.sender;
      sender.sequence = (sender.sequence - (counts[index] ?? 0) + 0x10000) & 0xffff;
      return {
        sequence: sender.sequence,
        rtpTime: Number.isNaN(firstMs) ? undefined : rtpTimestamp(sender, (firstMs * track.layout.clockRateHz) / 1000),
      };
    });
    return { units, starts, complete: !this.hasVideo || (gop.complete && units.length > 0) };
  }

  /** Cuts a picture for a new viewer. */
  planJoin(unit: AccessUnit, plan: PacketPlan): void {
    planUnit(unit, this.layout.joinPayloadBytes, plan);
  }

  #planAt(index: number): PacketPlan {
    let plan = this.#plans[index];
    if (plan === undefined) {
      plan = new PacketPlan();
      this.#plans.push(plan);
    }
    return plan;
  }
}
