import { makeAacFormat, parseAudioSpecificConfig } from '../../wire/aac/config.ts';
import { makeAudioFormat } from '../../wire/codecs/formats.ts';
import { addAnnexB, addLengthPrefixed, NalAssembler } from '../../wire/codecs/nal-assembler.ts';
import { FlvReader, type FlvTag } from '../../wire/flv/reader.ts';
import { type FlvAudio, parseAudioTag, parseVideoTag } from '../../wire/flv/tags.ts';
import { parseAvcC } from '../../wire/h264/format.ts';
import { parseHvcC } from '../../wire/h265/format.ts';
import { readMp3Header } from '../../wire/mp3/frame.ts';
import { opusPacketSamples } from '../../wire/opus/opus.ts';
import type { AudioFormat } from '../media.ts';
import { AudioClock } from './elementary.ts';
import type { Input, Problems } from './input.ts';
import type { Slot, TrackSet } from './track-set.ts';

/** FLV, as Reolink cameras give it over HTTP. */
export class FlvInput implements Input {
  readonly #reader = new FlvReader();
  readonly #tracks: TrackSet;
  readonly #problems: Problems;
  readonly #clock = new AudioClock();
  #hoped = false;
  #videoSlot: Slot | null = null;
  #assembler: NalAssembler | null = null;
  #lengthBytes: 1 | 2 | 3 | 4 = 4;
  #aacFrameSamples = 1024;
  #audioFormat: AudioFormat | null = null;

  constructor(tracks: TrackSet, problems: Problems) {
    this.#tracks = tracks;
    this.#problems = problems;
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk, (tag) => this.#problems.guard(() => this.#tag(tag)));
    const { flags } = this.#reader;
    if (flags === undefined || this.#hoped) return;
    this.#hoped = true;
    // Flags of 0 say nothing: some firmware writes them whatever follows.
    const none = !flags.video && !flags.audio;
    this.#hope(flags.video || none, flags.audio || none);
  }

  end(): void {
    this.#tracks.finish();
  }

  #tag(tag: FlvTag): void {
    if (tag.kind === 'video') this.#video(tag);
    else if (tag.kind === 'audio') this.#audio(parseAudioTag(tag.data), tag.timestampMs);
    else this.#script(tag.data);
  }

  /**
   * onMetaData names the codecs there are (annex E.5). Cameras whose microphone is off leave the audio's out but set
   * its flag in the header: believing the flag would make the first picture wait.
   */
  #script(data: Buffer): void {
    const video = data.includes('videocodecid');
    const audio = data.includes('audiocodecid');
    if (!video && !audio) return;
    this.#hoped = true;
    this.#hope(video, audio);
  }

  #hope(video: boolean, audio: boolean): void {
    this.#tracks.hope([...(video ? (['video'] as const) : []), ...(audio ? (['audio'] as const) : [])]);
  }

  #video(tag: FlvTag): void {
    const video = parseVideoTag(tag.data);
    if (video.type === 'other' || video.type === 'end') {
      if (video.type === 'other') this.#unknown(video.what);
      return;
    }
    const { codec } = video;
    if (codec !== 'h264' && codec !== 'h265') {
      this.#unknown(codec);
      return;
    }
    if (this.#assembler === null || this.#assembler.codec !== codec) {
      this.#videoSlot = this.#tracks.add('video', codec);
      this.#assembler = new NalAssembler(codec, this.#problems.report);
    }
    const assembler = this.#assembler;
    if (video.type === 'config') {
      this.#configure(assembler, video.data);
      const { format } = assembler;
      // The camera may go on with other parameter sets without a new picture: the slot learns them with the next one.
      if (format !== null && this.#videoSlot !== null) this.#videoSlot.format ??= format;
      return;
    }
    try {
      // Some devices put a byte stream where lengths belong: no NAL unit is a single byte long.
      if (video.data.length > 4 && video.data.readUInt32BE(0) === 1) addAnnexB(assembler, video.data);
      else addLengthPrefixed(assembler, video.data, this.#lengthBytes);
    } catch (error) {
      assembler.reset();
      throw error;
    }
    const made = assembler.take();
    if (made === null || this.#videoSlot === null) return;
    this.#tracks.unit(this.#videoSlot, {
      format: made.format,
      ticks: (tag.timestampMs + video.compositionMs) * 90,
      decodeTicks: tag.timestampMs * 90,
      key: made.key,
      data: made.data,
    });
  }

  #configure(assembler: NalAssembler, record: Buffer): void {
    const { lengthBytes, vps, sps, pps } =
      assembler.codec === 'h264' ? { vps: [], ...parseAvcC(record) } : parseHvcC(record);
    this.#lengthBytes = lengthBytes;
    for (const set of [...vps, ...sps, ...pps]) assembler.add(set);
  }

  #audio(audio: FlvAudio, timestampMs: number): void {
    if (audio.type === 'other') {
      this.#unknown(audio.what);
      return;
    }
    if (audio.type === 'config') {
      if (audio.codec === 'aac' && this.#audioFormat?.config.equals(audio.data) !== true) {
        const config = Buffer.from(audio.data);
        this.#audioFormat = makeAacFormat(config);
        this.#aacFrameSamples = parseAudioSpecificConfig(config).frameSamples;
        this.#tracks.add('audio', 'aac', this.#audioFormat);
      }
      return;
    }
    if (audio.data.length === 0) return;
    const found = this.#describeAudio(audio);
    if (found === null) return;
    const { format, samples } = found;
    const slot = this.#tracks.add('audio', format.codec, format);
    const ticks = this.#clock.place(Math.round((timestampMs * format.clockRateHz) / 1000), format.clockRateHz, samples);
    this.#tracks.unit(slot, { format, ticks, decodeTicks: ticks, key: true, data: audio.data });
  }

  /** The format and how long the frame is; null while it is not known or when we don't carry it. */
  #describeAudio(frame: Extract<FlvAudio, { type: 'frame' }>): { format: AudioFormat; samples: number } | null {
    const known = this.#audioFormat;
    switch (frame.codec) {
      case 'aac':
        // A frame before its configuration (a camera that sends that once a minute only) can't be used.
        return known?.codec === 'aac' ? { format: known, samples: this.#aacFrameSamples } : null;
      case 'opus': {
        const format = known?.codec === 'opus' ? known : makeAudioFormat('opus', 48_000, frame.channels);
        this.#audioFormat = format;
        return { format, samples: opusPacketSamples(frame.data) };
      }
      case 'pcma':
      case 'pcmu': {
        const { codec, channels } = frame;
        const same = known?.codec === codec && known.channels === channels;
        const format = same ? known : makeAudioFormat(codec, 8_000, channels);
        this.#audioFormat = format;
        return { format, samples: Math.floor(frame.data.length / channels) };
      }
      case 'mp3': {
        const header = readMp3Header(frame.data);
        if (header === null) return null;
        const same = known?.codec === 'mp3' && known.sampleRateHz === header.sampleRateHz;
        const format = same ? known : makeAudioFormat('mp3', header.sampleRateHz, header.channels);
        this.#audioFormat = format;
        return { format, samples: header.samples };
      }
      case 'flac':
        this.#unknown('audio "fLaC"');
        return null;
    }
  }

  #unknown(what: string): void {
    this.#problems.report({ code: `flv.${what}`, message: `FLV with ${what}, which is left out` });
  }
}
