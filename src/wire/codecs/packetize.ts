import type { TrackFormat } from '../../core/media.ts';
import type { PacketPlan } from './packet-plan.ts';

/** What a packetizer needs of an access unit. */
export interface PlannedUnit {
  readonly format: TrackFormat;
  readonly key: boolean;
  readonly data: Buffer;
}

/**
 * Fills `plan` (cleared before) with the RTP payloads of one unit, each at most `maxPayloadBytes` (200…65,000) long
 * where the payload format can cut at all. The plan stays empty for a unit that the format can't carry.
 */
export type PlanUnit = (unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan) => void;
