import {
  AV_DISPOSITION_ATTACHED_PIC,
  AV_LOG_FATAL,
  AV_NOPTS_VALUE,
  AVDISCARD_ALL,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
} from 'node-av/constants';
import { Dictionary, FFmpegError, FormatContext, Log, Packet, type Stream } from 'node-av/lib';
import { describeError } from '../../../core/errors.ts';
import type { DemuxFault, FromDemuxer, OpenOrder } from '../demux-protocol.ts';
import { type Lane, makeLane } from './lane.ts';
import { Pace } from './pace.ts';

/** Added to all times: the first picture of a file may have a decoding time before its beginning. */
const LEAD_S = 1;
/** What a packet lasts that says nothing about it. */
const DEFAULT_STEP_S = 0.04;
const MICROSECONDS = 1_000_000;
/** Protocols that an address may lead to: a file never to the network, and the network never to a file. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  file: 'file',
  rtmp: 'rtmp,tcp',
  rtmps: 'rtmps,rtmp,tls,tcp',
  rtmpt: 'rtmpt,ffrtmphttp,http,tcp',
  udp: 'udp',
  tcp: 'tcp',
  srt: 'srt',
  rtp: 'rtp,udp',
};

class ReadError extends Error {
  readonly fault: DemuxFault;

  constructor(fault: DemuxFault, message: string) {
    super(message);
    this.name = 'ReadError';
    this.fault = fault;
  }
}

/** Reads until the end and tells it. Never rejects for what the input holds. */
export async function readInput(order: OpenOrder, send: (message: FromDemuxer) => void): Promise<void> {
  Log.setLevel(AV_LOG_FATAL);
  try {
    const rounds = new Rounds(order, send);
    do await rounds.play();
    while (order.loop);
    send({ type: 'end' });
  } catch (error) {
    const fault = error instanceof ReadError ? error.fault : 'broken';
    send({ type: 'failed', fault, message: describeError(error) });
  }
}

/** One round after the other on one time line. */
class Rounds {
  readonly #order: OpenOrder;
  readonly #send: (message: FromDemuxer) => void;
  readonly #pace: Pace;
  #lanes: readonly Lane[] = [];
  /** Where the round begins on the time line. */
  #beginS = LEAD_S;

  constructor(order: OpenOrder, send: (message: FromDemuxer) => void) {
    this.#order = order;
    this.#send = send;
    this.#pace = new Pace(() => send({ type: 'waiting' }));
  }

  async play(): Promise<void> {
    const input = await openInput(this.#order);
    try {
      const streams = chooseStreams(input);
      if (this.#lanes.length === 0) this.#lanes = this.#begin(input, streams);
      else if (this.#lanes.length !== streams.length) throw new ReadError('broken', 'it has other tracks than before');
      for (const [index, stream] of streams.entries()) this.#lanes[index]?.begin(stream);
      const endS = await this.#read(input, streams);
      for (const lane of this.#lanes) lane.end();
      // An empty round would be repeated without end and without a pause.
      if (endS <= this.#beginS) throw new ReadError('media', 'it holds no packets');
      this.#beginS = endS;
    } finally {
      await input.closeInput();
    }
  }

  #begin(input: FormatContext, streams: readonly Stream[]): readonly Lane[] {
    const lanes = streams.map((stream, track) =>
      makeLane(stream, (unit) => this.#send({ type: 'unit', track, ...unit })),
    );
    this.#send({
      type: 'tracks',
      formatName: input.iformat?.name?.split(',')[0] ?? 'ffmpeg',
      made: lanes.flatMap((lane) => lane.made ?? []),
      tracks: lanes.map((lane) => lane.track),
    });
    return lanes;
  }

  /** @returns where the round ends on the time line */
  async #read(input: FormatContext, streams: readonly Stream[]): Promise<number> {
    const start = input.startTime;
    let startS = start === AV_NOPTS_VALUE ? Number.NaN : Number(start) / MICROSECONDS;
    const lasts = streams.map(() => Number.NaN);
    let endS = this.#beginS;
    using packet = new Packet();
    packet.alloc();
    for (;;) {
      const got = await input.readFrame(packet);
      if (got === AVERROR_EOF) return endS;
      if (got === AVERROR_EAGAIN) continue;
      if (got < 0) {
        // What came before a damaged end is shown, and then the next round.
        if (this.#order.paced && endS > this.#beginS) return endS;
        throw new ReadError('broken', FFmpegError.strerror(got));
      }
      const index = streams.findIndex((stream) => stream.index === packet.streamIndex);
      const stream = streams[index];
      if (stream !== undefined && packet.size > 0) {
        const unit = stream.timeBase.num / stream.timeBase.den;
        const stepS = packet.duration > 0n ? Number(packet.duration) * unit : frameSeconds(stream);
        const seconds = (ticks: bigint): number => (ticks === AV_NOPTS_VALUE ? Number.NaN : Number(ticks) * unit);
        const guess = guessDts(stream, seconds(packet.pts), lasts[index] ?? Number.NaN, stepS);
        const dts = first(seconds(packet.dts), guess, Number.isNaN(startS) ? 0 : startS);
        const pts = first(seconds(packet.pts), dts);
        lasts[index] = dts;
        if (Number.isNaN(startS)) startS = dts;
        const moved = this.#beginS - startS;
        endS = Math.max(endS, pts + moved + stepS);
        if (this.#order.paced) await this.#pace.until(dts + moved);
        this.#lanes[index]?.push(packet, pts + moved, dts + moved, moved);
      }
      packet.unref();
    }
  }
}

/** Matroska has no decoding times, and FFmpeg knows them only when it has seen how pictures are reordered. */
function guessDts(stream: Stream, ptsS: number, lastS: number, stepS: number): number {
  if (!Number.isNaN(lastS)) return lastS + stepS;
  const { videoDelay, codecType } = stream.codecpar;
  return codecType === AVMEDIA_TYPE_VIDEO ? ptsS - videoDelay * stepS : ptsS;
}

function first(...values: readonly number[]): number {
  return values.find((value) => !Number.isNaN(value)) ?? 0;
}

function frameSeconds(stream: Stream): number {
  const { num, den } = stream.avgFrameRate;
  return stream.codecpar.codecType === AVMEDIA_TYPE_VIDEO && num > 0 && den > 0 ? den / num : DEFAULT_STEP_S;
}

async function openInput(order: OpenOrder): Promise<FormatContext> {
  const scheme = /^([a-z]+):/.exec(order.url)?.[1] ?? '';
  const allowed = Object.hasOwn(PROTOCOLS, scheme) ? PROTOCOLS[scheme] : undefined;
  if (allowed === undefined) throw new ReadError('open', `"${scheme}:" is not read`);
  using options = new Dictionary();
  options.set('protocol_whitelist', allowed);
  if (!order.paced) {
    options.set('rw_timeout', String(order.timeoutMs * 1000));
    options.set('fflags', 'nobuffer');
  }
  const input = new FormatContext();
  const opened = await input.openInput(order.url, null, options);
  if (opened < 0) throw new ReadError('open', FFmpegError.strerror(opened));
  const found = await input.findStreamInfo(null);
  if (found < 0) {
    await input.closeInput();
    throw new ReadError('media', FFmpegError.strerror(found));
  }
  return input;
}

/** The best picture and the best sound, as ffmpeg chooses them; what is left is not even read. */
function chooseStreams(input: FormatContext): readonly Stream[] {
  const video = input.findBestStream(AVMEDIA_TYPE_VIDEO);
  const audio = input.findBestStream(AVMEDIA_TYPE_AUDIO);
  const chosen: Stream[] = [];
  for (const stream of input.streams) {
    // The cover of a record is no video.
    const cover = stream.hasDisposition(AV_DISPOSITION_ATTACHED_PIC);
    if ((stream.index === video && !cover) || stream.index === audio) chosen.push(stream);
    else stream.discard = AVDISCARD_ALL;
  }
  if (chosen.length === 0) throw new ReadError('media', 'it holds neither picture nor sound');
  return chosen;
}
