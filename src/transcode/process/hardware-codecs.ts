import type { HardwareReport } from '../../core/hardware.ts';
import type { VideoFormat } from '../../core/media.ts';
import type { Hardware, VideoTarget } from '../../core/targets.ts';
import { hardwareDecoder } from './hardware-decoder.ts';
import { fromDevice, hardwareEncoder } from './hardware-encoder.ts';
import type { DecoderMaker, EncoderMaker, VideoCodecs } from './video-codecs.ts';
import { softwareDecoder } from './video-decoder.ts';
import { softwareEncoder } from './video-encoder.ts';

/** In the place of real devices, for tests. */
export interface HardwareMakers {
  readonly decoder: (report: HardwareReport) => DecoderMaker;
  readonly encoder: (report: HardwareReport) => EncoderMaker;
}

/**
 * Decodes and codes by what works of the hardware where a target allows it, and goes on by the processor where that
 * fails. For one pipeline: what is decoded is decoded for all its outputs, so the input is given to the hardware when one
 * of those that were there before it allows that.
 * @param reports what works here, best first
 */
export function hardwareCodecs(
  reports: readonly HardwareReport[],
  makers: HardwareMakers = { decoder: hardwareDecoder, encoder: hardwareEncoder },
): VideoCodecs {
  const allowed = new Set<Hardware>();
  return {
    decoders: ({ codec }: VideoFormat) => {
      const usable = reports.filter(
        ({ kind, decode }) => (allowed.has('auto') || allowed.has(kind)) && decode.some((one) => one === codec),
      );
      return [...usable.map(makers.decoder), softwareDecoder];
    },
    encoders: ({ codec, hardware }: VideoTarget) => {
      if (hardware !== undefined) allowed.add(hardware);
      const usable = reports.filter(
        ({ kind, encode }) => (hardware === 'auto' || hardware === kind) && encode.some((one) => one === codec),
      );
      return [...usable.map(makers.encoder), fromDevice(softwareEncoder)];
    },
  };
}
