import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { SourceModule, SourceSink } from '../src/core/source.ts';
import { type DemuxedTrack, type DemuxedUnit, Mp4Demuxer } from '../src/wire/mp4/demuxer.ts';

export interface Clip {
  readonly tracks: readonly DemuxedTrack[];
  /** In the order of the file; video and audio interleaved. */
  readonly units: readonly DemuxedUnit[];
  readonly durationMs: number;
}

/** Makes a fragmented MP4 with ffmpeg (everything between `-y` and the output) and takes it apart. */
export async function makeClip(args: readonly string[]): Promise<Clip> {
  const { stdout } = await promisify(execFile)(
    'ffmpeg',
    ['-v', 'error', '-y', ...args, '-movflags', 'frag_every_frame+delay_moov+default_base_moof', '-f', 'mp4', 'pipe:1'],
    { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 },
  );
  return readClip(stdout);
}

export function readClip(bytes: Buffer): Clip {
  let tracks: readonly DemuxedTrack[] = [];
  const units: DemuxedUnit[] = [];
  const demuxer = new Mp4Demuxer({
    tracks: (found) => {
      tracks = found;
    },
    unit: (unit) => units.push(unit),
  });
  demuxer.push(bytes);
  const timeMs = (unit: DemuxedUnit): number => (unit.decodeTicks * 1000) / (tracks[unit.track]?.clockRateHz ?? 1);
  units.sort((one, other) => timeMs(one) - timeMs(other));
  const last = units.findLast((unit) => tracks[unit.track]?.kind === 'video') ?? units.at(-1);
  const pictures = units.filter((unit) => unit.track === last?.track);
  const spanMs = last === undefined ? 0 : timeMs(last) - timeMs(pictures[0] ?? last);
  return { tracks, units, durationMs: spanMs + spanMs / Math.max(1, pictures.length - 1) };
}

/** ffmpeg arguments for a moving test picture with a tone. */
export function testPicture(options: {
  readonly size?: string;
  readonly fps?: number;
  readonly gop?: number;
  readonly seconds?: number;
  readonly video?: readonly string[];
  /** Empty: no sound. */
  readonly audio?: readonly string[];
}): string[] {
  const { size = '320x240', fps = 25, gop = 25, seconds = 4 } = options;
  const audio = options.audio ?? ['-c:a', 'aac', '-ar', '16000', '-ac', '1'];
  const video = options.video ?? [
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-tune',
    'zerolatency',
    '-pix_fmt',
    'yuv420p',
  ];
  return [
    ...['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${fps}`],
    ...(audio.length > 0 ? ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'] : []),
    ...['-t', String(seconds), ...video, '-g', String(gop), '-keyint_min', String(gop), '-sc_threshold', '0', ...audio],
  ];
}

export interface ClipSource {
  readonly module: SourceModule;
  /** Ends the running connection as a camera does that drops. */
  drop(): void;
  /** While true, dials fail. */
  refuse: boolean;
  /** What plays from the next round on. */
  clip: Clip;
}

/** Plays a clip over and over in real time, as the camera of all streams whose source has the scheme. */
export function clipSource(scheme: string, clip: Clip): ClipSource {
  const running = new Set<() => void>();
  const source: ClipSource = {
    clip,
    refuse: false,
    drop: () => {
      for (const end of running) end();
    },
    module: {
      name: scheme,
      schemes: [scheme],
      run: (request, sink) => {
        if (source.refuse) return Promise.reject(new Error('connection refused'));
        return new Promise<void>((resolve) => {
          const stop = play(() => source.clip, sink);
          const end = (): void => {
            stop();
            running.delete(end);
            request.signal.removeEventListener('abort', end);
            resolve();
          };
          running.add(end);
          request.signal.addEventListener('abort', end, { once: true });
        });
      },
    },
  };
  return source;
}

function play(current: () => Clip, sink: SourceSink): () => void {
  let clip = current();
  const describe = (): void => {
    const { tracks } = clip;
    sink.describe({ tracks, formatName: 'mp4', protocol: 'test', remoteAddr: '192.0.2.1:80', sharedClock: true });
  };
  describe();
  let startMs = performance.now();
  let roundMs = 0;
  let next = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now() - startMs;
    let sent = false;
    for (;;) {
      if (next >= clip.units.length) {
        roundMs += clip.durationMs;
        next = 0;
        if (current() !== clip) {
          const codecs = (one: Clip): string => one.tracks.map((track) => track.codec).join();
          const changed = codecs(clip) !== codecs(current());
          clip = current();
          if (changed) describe();
        }
        startMs = performance.now() - roundMs;
      }
      const unit = clip.units[next];
      const track = clip.tracks[unit?.track ?? -1];
      if (unit === undefined || track === undefined) return;
      const atMs = (unit.decodeTicks * 1000) / track.clockRateHz + roundMs;
      if (atMs > nowMs) break;
      const shift = Math.round((roundMs * track.clockRateHz) / 1000);
      sink.alive(unit.data.length);
      sink.unit({ ...unit, ticks: unit.ticks + shift, decodeTicks: unit.decodeTicks + shift });
      sent = true;
      next++;
      // One picture for each hand-over, as a camera sends them.
      if (track.kind === 'video') sink.flush();
    }
    if (sent) sink.flush();
  }, 5);
  return () => clearInterval(timer);
}
