import { HearthcamError } from '../core/errors.ts';
import { type AudioFormat, VIDEO_CLOCK_HZ } from '../core/media.ts';
import type { SourceModule, SourceRequest, SourceSink, SourceTrack } from '../core/source.ts';
import { addAnnexB, NalAssembler } from '../wire/codecs/nal-assembler.ts';
import type { PictureMaker, PictureSession } from './picture-maker.ts';
import { type FromMaker, SAMPLE_RATES_HZ, type StreamPlan } from './protocol.ts';

const VIDEO = 0;
const AUDIO = 1;
/** Added to all times: an AAC encoder's first frame lies before its first sample, and times should not be negative. */
const LEAD_S = 1;

export interface SimulatedSource {
  readonly module: SourceModule;
  /** Changes the size of a stream now, and of what is started later. */
  resize(name: string, width: number, height: number): void;
}

/** A source `simulate:NAME` that is made instead of received. */
export function simulatedSource(plans: ReadonlyMap<string, StreamPlan>, maker: PictureMaker): SimulatedSource {
  const sizes = new Map<string, { width: number; height: number }>();
  const running = new Map<string, Set<PictureSession>>();
  const planOf = (name: string): StreamPlan => {
    const plan = plans.get(name);
    if (plan === undefined) {
      throw new HearthcamError('simulate.unknown', `there is no simulated stream "${name}"`, { status: 404 });
    }
    return { ...plan, ...sizes.get(name) };
  };
  const nameOf = (url: string): string => url.slice(url.indexOf(':') + 1);
  return {
    module: {
      name: 'simulate',
      schemes: ['simulate'],
      validate: (spec) => void planOf(nameOf(spec.url)),
      run: (request, sink) => {
        const name = nameOf(request.spec.url);
        const sessions = running.get(name) ?? new Set();
        running.set(name, sessions);
        return deliver(planOf(name), maker, request, sink, sessions);
      },
    },
    resize(name, width, height) {
      planOf(name);
      sizes.set(name, { width, height });
      for (const session of running.get(name) ?? []) session.resize(width, height);
    },
  };
}

function deliver(
  plan: StreamPlan,
  maker: PictureMaker,
  request: SourceRequest,
  sink: SourceSink,
  sessions: Set<PictureSession>,
): Promise<void> {
  const { signal } = request;
  if (signal.aborted) return Promise.resolve();
  return new Promise<void>((resolve, reject) => {
    const receiver = new Receiver(plan, sink);
    const end = (): void => {
      signal.removeEventListener('abort', onAbort);
      sessions.delete(session);
      session.close();
    };
    const onAbort = (): void => {
      end();
      resolve();
    };
    const session = maker.start(plan, {
      onMessage: (message) => {
        if (message.type !== 'failed') return receiver.take(message);
        end();
        reject(new HearthcamError('simulate.failed', `the picture can't be made: ${message.message}`, { status: 502 }));
      },
      onGone: (reason) => {
        end();
        reject(reason);
      },
    });
    sessions.add(session);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Turns what the maker sends into units of the stream. */
class Receiver {
  readonly #plan: StreamPlan;
  readonly #sink: SourceSink;
  readonly #assembler: NalAssembler;
  readonly #audioRateHz: number;
  #audio: AudioFormat | undefined;
  #startMs = 0;
  #described = false;

  constructor(plan: StreamPlan, sink: SourceSink) {
    this.#plan = plan;
    this.#sink = sink;
    this.#audioRateHz = SAMPLE_RATES_HZ[plan.audio];
    this.#assembler = new NalAssembler(plan.codec, ({ message }) => {
      throw new HearthcamError('simulate.video', `the simulator's own encoder gave a damaged stream: ${message}`);
    });
  }

  take(message: Exclude<FromMaker, { type: 'failed' }>): void {
    if (message.type === 'started') {
      this.#startMs = message.startMs;
      this.#audio = audioFormat(this.#plan.audio, message.config);
      return;
    }
    this.#sink.alive(message.data.length);
    if (message.type === 'video') this.#takePicture(message.data, message.ticks, message.decodeTicks);
    else this.#takeSound(message.data, message.ticks);
    this.#sink.flush();
  }

  #takePicture(data: Buffer, ticks: number, decodeTicks: number): void {
    addAnnexB(this.#assembler, data);
    const unit = this.#assembler.take();
    if (unit === null) return;
    const lead = LEAD_S * VIDEO_CLOCK_HZ;
    if (!this.#described) this.#describe(unit.format);
    this.#sink.unit({ track: VIDEO, ...unit, ticks: ticks + lead, decodeTicks: decodeTicks + lead });
  }

  #takeSound(data: Buffer, ticks: number): void {
    if (!this.#described || this.#audio === undefined) return;
    this.#sink.unit({ track: AUDIO, format: this.#audio, ticks: ticks + LEAD_S * this.#audioRateHz, key: true, data });
  }

  #describe(format: SourceTrack['format']): void {
    this.#described = true;
    const video: SourceTrack = { kind: 'video', codec: this.#plan.codec, clockRateHz: VIDEO_CLOCK_HZ, format };
    const audio = this.#audio;
    const sound: SourceTrack[] =
      audio === undefined ? [] : [{ kind: 'audio', codec: audio.codec, clockRateHz: audio.clockRateHz, format: audio }];
    this.#sink.describe({
      tracks: [video, ...sound],
      formatName: 'simulate',
      protocol: 'pipe',
      remoteAddr: '',
      sharedClock: true,
    });
    this.#sink.sync(VIDEO, LEAD_S * VIDEO_CLOCK_HZ, this.#startMs);
    if (audio !== undefined) this.#sink.sync(AUDIO, LEAD_S * audio.clockRateHz, this.#startMs);
  }
}

function audioFormat(codec: StreamPlan['audio'], config: Buffer): AudioFormat | undefined {
  if (codec === 'none') return undefined;
  const rateHz = SAMPLE_RATES_HZ[codec];
  return {
    kind: 'audio',
    codec,
    clockRateHz: rateHz,
    sampleRateHz: rateHz,
    channels: 1,
    codecString: codec === 'aac' ? 'mp4a.40.2' : codec,
    config,
  };
}
