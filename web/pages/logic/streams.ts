/** What the index page knows of a stream. */
export interface StreamInfo {
  readonly name: string;
  readonly state: 'live' | 'idle' | 'error';
  /** Why it is in error, in the server's words. */
  readonly reason: string;
  /** `H.264 · 2560×1440 · AAC`, as far as it is known. */
  readonly facts: readonly string[];
  readonly viewers: number;
}

/** ffprobe's names, which `/api/streams` uses (compatibility.md 1.2), as people write them. */
const CODEC_NAMES: Readonly<Record<string, string>> = {
  h264: 'H.264',
  hevc: 'H.265',
  av1: 'AV1',
  vp8: 'VP8',
  vp9: 'VP9',
  mjpeg: 'MJPEG',
  aac: 'AAC',
  opus: 'Opus',
  pcm_alaw: 'G.711 A',
  pcm_mulaw: 'G.711 µ',
  pcm_s16be: 'PCM',
  pcm_s16le: 'PCM',
  adpcm_g726: 'G.726',
  adpcm_g722: 'G.722',
  flac: 'FLAC',
  mp3: 'MP3',
};

/** Those that only keep a stream running are no viewers. */
const NO_VIEWERS = ['preload', 'probe', 'keyframe', 'reload'];

/** Reads the answer of `/api/streams`. What isn't as expected is left out, so that a newer server still gives a page. */
export function parseStreams(value: unknown): StreamInfo[] {
  return Object.entries(record(value)).map(([name, stream]) => parseStream(name, stream));
}

function parseStream(name: string, value: unknown): StreamInfo {
  const stream = record(value);
  const producers = list(stream['producers']).map(record);
  // One that lost its camera still says what it had, and why it has it no more.
  const active = producers.filter((one) => list(one['medias']).length > 0 && text(one['error']) === '');
  const codecs = active.flatMap((one) => list(one['receivers']).map((receiver) => record(record(receiver)['codec'])));
  const failing = producers.map((one) => text(one['error'])).find((reason) => reason !== '') ?? '';
  const live = active.length > 0;
  const viewers = list(stream['consumers']).filter((one) => !NO_VIEWERS.includes(text(record(one)['format_name'])));
  return {
    name,
    state: live ? 'live' : failing === '' ? 'idle' : 'error',
    reason: live ? '' : failing,
    facts: codecs.flatMap(describeCodec),
    viewers: viewers.length,
  };
}

function describeCodec(codec: Readonly<Record<string, unknown>>): string[] {
  const name = text(codec['codec_name']);
  if (name === '') return [];
  const { width, height } = codec;
  const size = typeof width === 'number' && typeof height === 'number' && width > 0 ? [`${width}×${height}`] : [];
  return [CODEC_NAMES[name] ?? name, ...size];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
