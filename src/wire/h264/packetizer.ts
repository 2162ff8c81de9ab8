import type { PacketPlan } from '../codecs/packet-plan.ts';
import type { PlannedUnit } from '../codecs/packetize.ts';

/** RFC 6184 §5.7.1; F = 0, NRI = 3. */
const STAP_A = 0x78;

/** RFC 6184, packetization-mode 1: parameter sets as STAP-A before each key frame, then single NAL units and FU-A. */
export function planH264(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const { format, data } = unit;
  if (format.kind !== 'video') return;
  if (unit.key) planSets(format.parameterSets.sps, format.parameterSets.pps, maxPayloadBytes, plan);
  let at = 0;
  while (at + 5 <= data.length) {
    const size = data.readUInt32BE(at);
    const start = at + 4;
    const end = Math.min(start + size, data.length);
    at = end;
    if (end <= start) continue;
    if (end - start <= maxPayloadBytes) {
      plan.packet(false, start, end);
      continue;
    }
    const head = data[start] ?? 0;
    const step = maxPayloadBytes - 2;
    for (let from = start + 1; from < end; from += step) {
      const to = Math.min(from + step, end);
      plan.prefixByte((head & 0xe0) | 28);
      plan.prefixByte((from === start + 1 ? 0x80 : 0) | (to === end ? 0x40 : 0) | (head & 0x1f));
      plan.packet(false, from, to);
    }
  }
  plan.markLast();
}

function planSets(sps: readonly Buffer[], pps: readonly Buffer[], maxPayloadBytes: number, plan: PacketPlan): void {
  let together = 1;
  for (const nal of sps) together += 2 + nal.length;
  for (const nal of pps) together += 2 + nal.length;
  if (together > maxPayloadBytes) {
    for (const nals of [sps, pps]) {
      for (const nal of nals) {
        plan.prefixCopy(nal);
        plan.packet(false, 0, 0);
      }
    }
    return;
  }
  if (together === 1) return;
  plan.prefixByte(STAP_A);
  for (const nals of [sps, pps]) {
    for (const nal of nals) {
      plan.prefixU16(nal.length);
      plan.prefixCopy(nal);
    }
  }
  plan.packet(false, 0, 0);
}
