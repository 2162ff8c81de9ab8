import type { Codec } from '../../core/media.ts';
import { planAac } from '../aac/packetizer.ts';
import { planAv1 } from '../av1/packetizer.ts';
import { planH264 } from '../h264/packetizer.ts';
import { planH265 } from '../h265/packetizer.ts';
import { planJpeg } from '../jpeg/packetizer.ts';
import { planVp8 } from '../vp8/packetizer.ts';
import { planVp9 } from '../vp9/packetizer.ts';
import type { PacketPlan } from './packet-plan.ts';
import type { PlannedUnit, PlanUnit } from './packetize.ts';
import { planMp3, planSamples, planWhole } from './plain-packetizer.ts';

export { PacketPlan } from './packet-plan.ts';
export type { PlannedUnit, PlanUnit } from './packetize.ts';
export * from './rtp-frame.ts';

const PLANS: Readonly<Record<Codec, PlanUnit | null>> = {
  h264: planH264,
  h265: planH265,
  av1: planAv1,
  vp8: planVp8,
  vp9: planVp9,
  jpeg: planJpeg,
  aac: planAac,
  opus: planWhole,
  pcma: planSamples,
  pcmu: planSamples,
  l16: planSamples,
  g722: planSamples,
  g726: planWhole,
  mp3: planMp3,
  flac: null,
};

/** How a codec is cut into RTP payloads; null for one that has no payload format. */
export function packetizerFor(codec: Codec): PlanUnit | null {
  return PLANS[codec];
}

/**
 * Fills `plan` with the RTP payloads of one access unit, each at most `maxPayloadBytes` long (see `PlanUnit`). The plan
 * is empty when RTP can't carry it.
 */
export function planUnit(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  plan.clear();
  PLANS[unit.format.codec]?.(unit, maxPayloadBytes, plan);
}
