import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface GstCameraOptions {
  readonly video?: 'h264' | 'h265' | 'mjpeg' | 'vp8' | null;
  readonly audio?: 'aac' | 'latm' | 'pcma' | 'pcmu' | 'l16' | 'opus' | null;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  /** Distance of key frames in pictures. */
  readonly gopFrames?: number;
  readonly kbps?: number;
  readonly audioRateHz?: number;
  /** videotestsrc pattern: `ball` moves and costs little, `smpte` and `snow` otherwise. */
  readonly pattern?: 'ball' | 'smpte' | 'snow';
  /** Repeat the parameter sets before each key frame; false: they are in the SDP alone. */
  readonly inBandParameterSets?: boolean;
  readonly user?: string;
  readonly password?: string;
  /** Digest instead of Basic. */
  readonly digest?: boolean;
  /** Refuses the other transport with 461. */
  readonly transport?: 'any' | 'tcp' | 'udp';
  /** The camera can be spoken to by the back channel of ONVIF; then its clients don't share one encoder. */
  readonly talk?: 'pcma' | 'pcmu' | null;
  readonly path?: string;
  /** 0 (default): a free one. A fixed one lets a camera come back at the same address. */
  readonly port?: number;
}

export interface GstCamera extends AsyncDisposable {
  /** With user and password where they were asked for. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the camera at once (like pulling its plug); resolves when the process is gone. Idempotent. */
  stop(): Promise<void>;
  /** Freezes and unfreezes the process: the connection stays but nothing comes. */
  pause(): void;
  /** Coded samples that came by the back channel so far. */
  heard(): Promise<Buffer>;
  resume(): void;
}

const DEFAULTS = {
  video: 'h264',
  audio: null,
  width: 320,
  height: 240,
  fps: 15,
  gopFrames: 30,
  kbps: 300,
  audioRateHz: 16_000,
  pattern: 'ball',
  inBandParameterSets: true,
  user: '',
  password: '',
  digest: false,
  transport: 'any',
  talk: null,
  path: '/cam',
  port: 0,
} as const;

/**
 * Starts a real RTSP camera (gst-rtsp-server) on loopback. All clients share one encoder, which runs while there is
 * a client.
 */
export async function startGstCamera(options: GstCameraOptions = {}): Promise<GstCamera> {
  const folder = await mkdtemp(join(tmpdir(), 'hearthcam-gst-'));
  const talkFile = join(folder, 'talk.raw');
  await writeFile(talkFile, '');
  const settings = { ...DEFAULTS, ...options, talkFile };
  const script = fileURLToPath(new URL('./gst-camera.py', import.meta.url));
  const child = spawn('/usr/bin/python3', [script, JSON.stringify(settings)], { stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const port = await listeningPort(child, () => errors);
  const login = settings.user === '' ? '' : `${settings.user}:${settings.password}@`;
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return {
    url: `rtsp://${login}127.0.0.1:${port}${settings.path}`,
    port,
    pid: child.pid ?? 0,
    stop,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    heard: () => readFile(talkFile),
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function listeningPort(child: ChildProcess, errors: () => string): Promise<number> {
  const { stdout } = child;
  if (stdout === null) throw new Error('the camera has no standard output');
  const timeout = AbortSignal.timeout(30_000);
  const lines = createInterface({ input: stdout });
  try {
    const [line] = await Promise.race([
      once(lines, 'line', { signal: timeout }),
      once(child, 'exit').then(() => {
        throw new Error(`the GStreamer camera did not start: ${errors()}`);
      }),
    ]);
    const parsed: unknown = JSON.parse(String(line));
    if (typeof parsed !== 'object' || parsed === null || !('port' in parsed) || typeof parsed.port !== 'number') {
      throw new Error(`the GStreamer camera said ${String(line)}`);
    }
    return parsed.port;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}
