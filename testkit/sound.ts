import { execFile } from 'node:child_process';
import type { AudioCodec, AudioFormat } from '../src/core/media.ts';
import { adtsConfig, adtsHeaderMaker, readAdtsHeader } from '../src/wire/aac/adts.ts';
import { makeAacFormat } from '../src/wire/aac/config.ts';
import { makeAudioFormat } from '../src/wire/codecs/formats.ts';
import { readMp3Header } from '../src/wire/mp3/frame.ts';
import { buildOpusHead, opusPacketSamples } from '../src/wire/opus/opus.ts';

/** Samples of 16 bits, interleaved. */
export interface Sound {
  readonly rateHz: number;
  readonly channels: number;
  readonly samples: Int16Array;
}

export interface CodedSoundUnit {
  readonly data: Buffer;
  /** Ticks of the format's clock, where what is decoded from it begins; 0 is the sound's first sample. */
  readonly pts: number;
}

export interface CodedSound {
  readonly format: AudioFormat;
  readonly units: readonly CodedSoundUnit[];
}

/** A tone in every channel. */
export function tone(rateHz: number, channels: number, seconds: number, hz: number): Sound {
  return soundOf(rateHz, channels, seconds, (at) => 0.4 * Math.sin(2 * Math.PI * hz * at));
}

/** Silence with one short beep of 1 kHz whose middle is at `atSeconds`: what every codec keeps of a click. */
export function click(rateHz: number, channels: number, seconds: number, atSeconds: number): Sound {
  return soundOf(rateHz, channels, seconds, (at) => {
    const off = at - atSeconds;
    return 0.8 * Math.exp(-((off / 0.004) ** 2)) * Math.sin(2 * Math.PI * 1000 * off);
  });
}

export function soundOf(rateHz: number, channels: number, seconds: number, wave: (at: number) => number): Sound {
  const samples = new Int16Array(Math.round(rateHz * seconds) * channels);
  for (let at = 0; at < samples.length; at++) {
    samples[at] = Math.round(32_767 * wave(Math.floor(at / channels) / rateHz));
  }
  return { rateHz, channels, samples };
}

/** The middle of the loudest 40 ms, in seconds from the first sample. */
export function clickSeconds(sound: Sound): number {
  const { samples, channels, rateHz } = sound;
  let peak = 0;
  for (let at = 0; at < samples.length; at++) {
    if (Math.abs(samples[at] ?? 0) > Math.abs(samples[peak] ?? 0)) peak = at;
  }
  const reach = Math.round(rateHz * 0.02) * channels;
  let energy = 0;
  let moment = 0;
  for (let at = Math.max(0, peak - reach); at < Math.min(samples.length, peak + reach); at++) {
    const power = (samples[at] ?? 0) ** 2;
    energy += power;
    moment += power * Math.floor(at / channels);
  }
  return moment / energy / rateHz;
}

/** Share of the energy of the first channel that is the tone's, 0…1 (Goertzel), over blocks: the least. */
export function toneShare(
  sound: Sound,
  hz: number,
  fromSeconds: number,
  toSeconds: number,
  blockSeconds = 0.1,
): number {
  const { samples, channels, rateHz } = sound;
  const block = Math.round(rateHz * blockSeconds);
  let least = 1;
  for (let from = Math.round(fromSeconds * rateHz); from + block <= toSeconds * rateHz; from += block) {
    let real = 0;
    let imaginary = 0;
    let energy = 0;
    for (let index = 0; index < block; index++) {
      const value = samples[(from + index) * channels] ?? 0;
      const angle = (2 * Math.PI * hz * index) / rateHz;
      real += value * Math.cos(angle);
      imaginary += value * Math.sin(angle);
      energy += value * value;
    }
    least = Math.min(least, energy === 0 ? 0 : (2 * (real * real + imaginary * imaginary)) / (block * energy));
  }
  return least;
}

function ffmpeg(args: readonly string[], input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      'ffmpeg',
      ['-v', 'error', ...args, 'pipe:1'],
      { encoding: 'buffer', maxBuffer: 256 * 1024 * 1024 },
      (error, stdout) => (error === null ? resolve(stdout) : reject(error)),
    );
    // What FFmpeg does not want to read any more is told by its exit.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** Bytes of a unit of 20 ms, for codecs without frames of their own. */
const PLAIN: Partial<
  Record<AudioCodec, { muxer: string; bytesPerSecond: (rate: number, channels: number) => number }>
> = {
  pcma: { muxer: 'alaw', bytesPerSecond: (rate, channels) => rate * channels },
  pcmu: { muxer: 'mulaw', bytesPerSecond: (rate, channels) => rate * channels },
  l16: { muxer: 's16be', bytesPerSecond: (rate, channels) => rate * channels * 2 },
  g722: { muxer: 'g722', bytesPerSecond: () => 8_000 },
  g726: { muxer: 'g726le', bytesPerSecond: () => 4_000 },
};

/** Codes a sound by ffmpeg and cuts it into units. */
export async function codeSound(codec: AudioCodec, sound: Sound, options: readonly string[] = []): Promise<CodedSound> {
  const { rateHz, channels } = sound;
  const input = Buffer.from(sound.samples.buffer, sound.samples.byteOffset, sound.samples.byteLength);
  const from = ['-f', 's16le', '-ar', String(rateHz), '-ac', String(channels), '-i', 'pipe:0'];
  const plain = PLAIN[codec];
  if (plain !== undefined) {
    const bytes = await ffmpeg([...from, ...options, '-f', plain.muxer], input);
    const unitBytes = plain.bytesPerSecond(rateHz, channels) / 50;
    const format = makeAudioFormat(codec as 'pcma', rateHz, channels, codec === 'g722' ? 8_000 : rateHz);
    const units = [];
    for (let at = 0; at < bytes.length; at += unitBytes) {
      const pts = Math.round((at / unitBytes) * (format.clockRateHz / 50));
      units.push({ pts, data: bytes.subarray(at, at + unitBytes) });
    }
    return { format, units };
  }
  switch (codec) {
    case 'aac':
      return cutAdts(await ffmpeg([...from, '-c:a', 'aac', ...options, '-f', 'adts'], input));
    case 'mp3':
      return cutMp3(
        await ffmpeg(
          [...from, '-c:a', 'libmp3lame', ...options, '-write_xing', '0', '-id3v2_version', '0', '-f', 'mp3'],
          input,
        ),
      );
    case 'opus':
      return cutOggOpus(await ffmpeg([...from, '-c:a', 'libopus', ...options, '-f', 'ogg'], input), channels);
    case 'flac':
      return cutFlac(
        await ffmpeg([...from, '-c:a', 'flac', '-frame_size', '1024', ...options, '-f', 'flac'], input),
        sound,
      );
    default:
      throw new Error(`no way to make ${codec}`);
  }
}

/** ffmpeg's own encoder begins with 1024 samples of priming. */
const AAC_PRIMING = 1_024;

function cutAdts(bytes: Buffer): CodedSound {
  const units: CodedSoundUnit[] = [];
  let format: AudioFormat | undefined;
  for (let at = 0; at < bytes.length; ) {
    const header = readAdtsHeader(bytes, at);
    if (header === null) throw new Error('no ADTS header');
    format ??= makeAacFormat(adtsConfig(header));
    units.push({
      pts: units.length * 1024 - AAC_PRIMING,
      data: bytes.subarray(at + header.headerBytes, at + header.frameBytes),
    });
    at += header.frameBytes;
  }
  if (format === undefined) throw new Error('no AAC');
  return { format, units };
}

/** LAME: 576 samples of its own, 529 of every decoder. */
const MP3_PRIMING = 1_105;

function cutMp3(bytes: Buffer): CodedSound {
  const units: CodedSoundUnit[] = [];
  let format: AudioFormat | undefined;
  for (let at = 0; at < bytes.length; ) {
    const header = readMp3Header(bytes, at);
    if (header === null) throw new Error('no MP3 header');
    format ??= makeAudioFormat('mp3', header.sampleRateHz, header.channels);
    units.push({ pts: units.length * header.samples - MP3_PRIMING, data: bytes.subarray(at, at + header.frameBytes) });
    at += header.frameBytes;
  }
  if (format === undefined) throw new Error('no MP3');
  return { format, units };
}

function cutOggOpus(bytes: Buffer, channels: number): CodedSound {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const segments = bytes.readUInt8(at + 26);
    let data = at + 27 + segments;
    for (let index = 0; index < segments; index++) {
      const length = bytes.readUInt8(at + 27 + index);
      open.push(bytes.subarray(data, data + length));
      data += length;
      if (length < 255) {
        packets.push(Buffer.concat(open));
        open = [];
      }
    }
    at = data;
  }
  let pts = -(packets[0]?.readUInt16LE(10) ?? 0);
  const units = packets.slice(2).map((data) => {
    const unit = { pts, data };
    pts += opusPacketSamples(data);
    return unit;
  });
  return { format: makeAudioFormat('opus', 48_000, channels), units };
}

function cutFlac(bytes: Buffer, sound: Sound): CodedSound {
  let at = 4;
  for (let last = false; !last; ) {
    last = (bytes.readUInt8(at) & 0x80) !== 0;
    at += 4 + bytes.readUIntBE(at + 1, 3);
  }
  const sync = bytes.subarray(at, at + 2);
  const units: CodedSoundUnit[] = [];
  for (let number = 0; at < bytes.length; number++) {
    // A frame begins with the sync code and, behind two bytes, its number: that much does not come by chance.
    const next = Buffer.from([...codedNumber(number + 1)]);
    let end = at + 8;
    while (
      end < bytes.length &&
      !(bytes.subarray(end, end + 2).equals(sync) && bytes.subarray(end + 4, end + 4 + next.length).equals(next))
    )
      end++;
    units.push({ pts: number * 1024, data: bytes.subarray(at, end) });
    at = end;
  }
  const format: AudioFormat = {
    kind: 'audio',
    codec: 'flac',
    clockRateHz: sound.rateHz,
    sampleRateHz: sound.rateHz,
    channels: sound.channels,
    codecString: 'flac',
    config: bytes.subarray(8, 42),
  };
  return { format, units };
}

function codedNumber(value: number): number[] {
  return value < 0x80 ? [value] : [0xc0 | (value >> 6), 0x80 | (value & 0x3f)];
}

/** Decodes units by ffmpeg: the first sample is that of the first unit. */
export async function decodeSound(format: AudioFormat, units: readonly Buffer[]): Promise<Sound> {
  const { codec, channels, sampleRateHz } = format;
  const out = ['-f', 's16le', '-ar', String(sampleRateHz), '-ac', String(channels)];
  const plain = PLAIN[codec];
  let stream: Buffer;
  let demuxer: readonly string[];
  if (plain !== undefined) {
    stream = Buffer.concat(units);
    demuxer = ['-f', plain.muxer, ...(codec === 'g722' ? [] : ['-ar', String(sampleRateHz), '-ac', String(channels)])];
  } else if (codec === 'aac') {
    const header = adtsHeaderMaker(format.config);
    stream = Buffer.concat(units.flatMap((unit) => [header(unit.length), unit]));
    demuxer = ['-f', 'aac'];
  } else if (codec === 'mp3') {
    stream = Buffer.concat(units);
    demuxer = ['-f', 'mp3'];
  } else if (codec === 'flac') {
    stream = Buffer.concat([Buffer.from('664c614380000022', 'hex'), format.config, ...units]);
    demuxer = ['-f', 'flac'];
  } else {
    stream = oggOpus(channels, units);
    demuxer = ['-f', 'ogg'];
  }
  const bytes = await ffmpeg([...demuxer, '-i', 'pipe:0', ...out], stream);
  return { rateHz: sampleRateHz, channels, samples: new Int16Array(new Uint8Array(bytes).buffer) };
}

/** RFC 7845, one packet a page. */
function oggOpus(channels: number, units: readonly Buffer[]): Buffer {
  const tags = Buffer.concat([Buffer.from('OpusTags'), Buffer.alloc(8)]);
  let granule = 0;
  const pages = [oggPage(buildOpusHead(channels), 0, 0, 2), oggPage(tags, 1, 0, 0)];
  for (const [index, unit] of units.entries()) {
    granule += opusPacketSamples(unit);
    pages.push(oggPage(unit, index + 2, granule, 0));
  }
  return Buffer.concat(pages);
}

function oggPage(packet: Buffer, sequence: number, granule: number, flags: number): Buffer {
  const segments = Math.floor(packet.length / 255) + 1;
  const header = Buffer.alloc(27 + segments, 255);
  header.write('OggS', 0, 'latin1');
  header[4] = 0;
  header[5] = flags;
  header.writeBigUInt64LE(BigInt(granule), 6);
  header.writeUInt32LE(1, 14);
  header.writeUInt32LE(sequence, 18);
  header.writeUInt32LE(0, 22);
  header[26] = segments;
  header[26 + segments] = packet.length % 255;
  const page = Buffer.concat([header, packet]);
  page.writeUInt32LE(oggCrc(page), 22);
  return page;
}

function oggCrc(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}
