import type { PacketPlan } from './packet-plan.ts';
import type { PlannedUnit } from './packetize.ts';

/** Opus (RFC 7587), G.726: a packet is a unit and can't be cut. */
export function planWhole(unit: PlannedUnit, _maxPayloadBytes: number, plan: PacketPlan): void {
  if (unit.data.length > 0) plan.packet(false, 0, unit.data.length);
}

/** MPEG audio (RFC 2250 §3.5): four zero bytes, then the frame. */
export function planMp3(unit: PlannedUnit, _maxPayloadBytes: number, plan: PacketPlan): void {
  plan.prefixU16(0);
  plan.prefixU16(0);
  plan.packet(false, 0, unit.data.length);
}

/** Samples of a fixed size (RFC 3551 §4.5): cut between samples, each packet with its own time. */
export function planSamples(unit: PlannedUnit, maxPayloadBytes: number, plan: PacketPlan): void {
  const { format, data } = unit;
  if (format.kind !== 'audio') return;
  // Bytes per tick of the clock; G.722 has one byte per tick of its 8 kHz clock.
  const bytesPerTick = (format.codec === 'l16' ? 2 : 1) * Math.max(1, format.channels);
  const step = Math.max(1, Math.floor(maxPayloadBytes / bytesPerTick)) * bytesPerTick;
  for (let from = 0; from < data.length; from += step) {
    plan.packet(false, from, Math.min(from + step, data.length), from / bytesPerTick);
  }
}
