import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';

/** RFC 7798 without decoding order numbers: parameter sets as an AP before each key frame, single NAL units, FU. */
export function planH265(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const { format, data } = unit;
  if (format.kind !== 'video') return;
  if (unit.key) planSets(format.parameterSets, maxPayloadBytes, plan);
  let at = 0;
  while (at + 6 <= data.length) {
    const size = data.readUInt32BE(at);
    const start = at + 4;
    const end = Math.min(start + size, data.length);
    at = end;
    if (end - start < 2) continue;
    if (end - start <= maxPayloadBytes) {
      plan.packet(false, start, end);
      continue;
    }
    const head = data[start] ?? 0;
    const layer = data[start + 1] ?? 0;
    const step = maxPayloadBytes - 3;
    for (let from = start + 2; from < end; from += step) {
      const to = Math.min(from + step, end);
      // RFC 7798 §4.4.3: type 49 in the payload header, the NAL unit's own type in the FU header.
      plan.prefixByte((head & 0x81) | (49 << 1));
      plan.prefixByte(layer);
      plan.prefixByte((from === start + 2 ? 0x80 : 0) | (to === end ? 0x40 : 0) | ((head >> 1) & 0x3f));
      plan.packet(false, from, to);
    }
  }
  plan.markLast();
}

function planSets(
  sets: { readonly vps: readonly Buffer[]; readonly sps: readonly Buffer[]; readonly pps: readonly Buffer[] },
  maxPayloadBytes: number,
  plan: PacketPlan,
): void {
  const kinds = [sets.vps, sets.sps, sets.pps];
  let together = 2;
  for (const nals of kinds) for (const nal of nals) together += 2 + nal.length;
  const aggregate = together <= maxPayloadBytes;
  if (aggregate) {
    // §4.4.2: type 48, layer 0, temporal id 0 (plus 1).
    plan.prefixByte(48 << 1);
    plan.prefixByte(1);
  }
  for (const nals of kinds) {
    for (const nal of nals) {
      if (aggregate) plan.prefixU16(nal.length);
      plan.prefixCopy(nal);
      if (!aggregate) plan.packet(false, 0, 0);
    }
  }
  if (aggregate) plan.packet(false, 0, 0);
}
