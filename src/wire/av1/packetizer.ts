import { WireError } from '../../core/errors.ts';
import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';
import { forEachObu, OBU } from './obu.ts';

/** "RTP Payload Format For AV1" (AOMedia): each packet holds one OBU or a fragment of one, without size field (W = 1). */
export function planAv1(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const { data } = unit;
  try {
    forEachObu(data, (type, start, payload, end) => {
      if (type === OBU.temporalDelimiter || type === OBU.padding) return;
      const head = data[start] ?? 0;
      const extended = (head & 4) !== 0;
      let from = payload;
      let first = true;
      do {
        const room = maxPayloadBytes - 1 - (first ? (extended ? 2 : 1) : 0);
        const to = Math.min(end, from + room);
        // §4.4: N on the first packet of a coded video sequence.
        const startsSequence = unit.key && plan.count === 0;
        plan.prefixByte((first ? 0 : 0x80) | (to < end ? 0x40 : 0) | 0x10 | (startsSequence ? 0x08 : 0));
        if (first) plan.prefixByte(head & ~2);
        if (first && extended) plan.prefixByte(data[start + 1] ?? 0);
        plan.packet(false, from, to);
        from = to;
        first = false;
      } while (from < end);
    });
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    plan.clear();
    return;
  }
  plan.markLast();
}
