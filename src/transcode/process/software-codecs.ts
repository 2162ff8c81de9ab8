import type { VideoCodecs } from './video-codecs.ts';
import { softwareDecoder } from './video-decoder.ts';
import { softwareEncoder } from './video-encoder.ts';

/** Decodes and codes everything by the processor. */
export const softwareCodecs: VideoCodecs = {
  decoders: () => [softwareDecoder],
  encoders: () => [softwareEncoder],
};
