import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';

/** RFC 9628 with the one-byte descriptor: P for pictures that refer to others, B and E at begin and end. */
export function planVp9(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const step = maxPayloadBytes - 1;
  const size = unit.data.length;
  for (let from = 0; from < size; from += step) {
    const to = Math.min(from + step, size);
    plan.prefixByte((unit.key ? 0 : 0x40) | (from === 0 ? 0x08 : 0) | (to === size ? 0x04 : 0));
    plan.packet(to === size, from, to);
  }
}
