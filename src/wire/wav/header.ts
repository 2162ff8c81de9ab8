import { WireError } from '../../core/errors.ts';

/** What the header of a WAV file says (RIFF; Microsoft's WAVEFORMATEX). */
export interface WavHeader {
  readonly codec: 'pcma' | 'pcmu' | 'l16';
  readonly sampleRateHz: number;
  readonly channels: number;
  /** Where the samples begin. */
  readonly dataAt: number;
}

const MAX_WAV_HEADER_BYTES = 64 * 1024;

/** Null: not all there yet. @throws WireError when it is no WAV file that we carry. */
export function parseWavHeader(bytes: Buffer): WavHeader | null {
  if (bytes.length < 12) return null;
  if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WAVE') {
    throw new WireError('wav.signature', 'not a WAV file', 0);
  }
  let found: Omit<WavHeader, 'dataAt'> | null = null;
  let at = 12;
  while (at + 8 <= bytes.length) {
    const name = bytes.toString('latin1', at, at + 4);
    const size = bytes.readUInt32LE(at + 4);
    if (name === 'data') {
      if (found === null) throw new WireError('wav.format', 'WAV file without format', at);
      return { ...found, dataAt: at + 8 };
    }
    if (size > MAX_WAV_HEADER_BYTES) throw new WireError('wav.chunk', `WAV chunk "${name}" of ${size} bytes`, at);
    if (name === 'fmt ') {
      if (at + 8 + 16 > bytes.length) return null;
      found = wavFormat(bytes.subarray(at + 8, at + 24), at);
    }
    at += 8 + size + (size % 2);
  }
  if (bytes.length > MAX_WAV_HEADER_BYTES) throw new WireError('wav.header', 'WAV header without end', at);
  return null;
}

function wavFormat(fmt: Buffer, at: number): Omit<WavHeader, 'dataAt'> {
  const tag = fmt.readUInt16LE(0);
  const channels = fmt.readUInt16LE(2);
  const sampleRateHz = fmt.readUInt32LE(4);
  const bits = fmt.readUInt16LE(14);
  const codec = tag === 6 ? 'pcma' : tag === 7 ? 'pcmu' : tag === 1 && bits === 16 ? 'l16' : null;
  if (codec === null) throw new WireError('wav.format', `WAV with format ${tag} of ${bits} bits`, at);
  if (channels < 1 || channels > 8 || sampleRateHz < 1_000 || sampleRateHz > 192_000) {
    throw new WireError('wav.format', `WAV with ${channels} channels of ${sampleRateHz} Hz`, at);
  }
  return { codec, sampleRateHz, channels };
}
