import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';

/** RFC 7741 with the one-byte descriptor: S on the first packet of a frame. */
export function planVp8(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const step = maxPayloadBytes - 1;
  for (let from = 0; from < unit.data.length; from += step) {
    plan.prefixByte(from === 0 ? 0x10 : 0);
    plan.packet(false, from, Math.min(from + step, unit.data.length));
  }
  plan.markLast();
}
