import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';

/** RFC 3640 §3.3.6, AAC-hbr: one frame a packet, or one frame in several. */
export function planAac(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const size = unit.data.length;
  // 13 bits of size are all there is.
  if (size === 0 || size > 0x1fff) return;
  const step = maxPayloadBytes - 4;
  for (let from = 0; from < size; from += step) {
    const to = Math.min(from + step, size);
    plan.prefixU16(16);
    plan.prefixU16(size << 3);
    plan.packet(to === size, from, to);
  }
}
