import { Scope } from '../core/scope.ts';
import { SecretMask } from '../core/secrets.ts';
import { AUDIO_CODECS, VIDEO_CODECS } from '../simulate/protocol.ts';
import { type SimulatorOptions, startSimulator } from '../simulate/simulator.ts';
import { choiceOption, numberOption, type ParsedArgs, UsageError } from './args.ts';
import { rtspModule } from './demo.ts';
import { Lifecycle } from './lifecycle.ts';
import { openLog } from './log.ts';
import type { Terminal } from './main.ts';

/** `hearthcam simulate`: the camera simulator alone, until a signal. */
export async function simulate(args: ParsedArgs, terminal: Terminal): Promise<undefined> {
  const scope = new Scope('program');
  const lifecycle = new Lifecycle(scope);
  const format = terminal.stdout.isTTY === true ? 'color' : 'text';
  const { log } = openLog({ level: 'info', moduleLevels: {}, format, output: 'stdout' }, new SecretMask(), terminal);
  const simulator = await startSimulator({ ...simulatorOptions(args), rtspOutput: rtspModule(), log });
  scope.defer(() => simulator.stop());
  lifecycle.attach(log);
  for (const camera of simulator.cameras) {
    terminal.stdout.write(`${camera.name}: ${camera.main}${camera.sub === undefined ? '' : `  sub: ${camera.sub}`}\n`);
  }
  return undefined;
}

/** @throws UsageError that names the option */
export function simulatorOptions(args: ParsedArgs): Omit<SimulatorOptions, 'rtspOutput' | 'log'> {
  const last = (name: string): string | undefined => args.options.get(name)?.at(-1);
  const { host, port } = listenOption(last('listen') ?? '127.0.0.1:18554');
  const [width, height] = sizeOption(last('size') ?? '1280x720');
  const fps = numberOption(args, 'fps', 15, { min: 1, max: 60 });
  const main = {
    codec: choiceOption(args, 'codec', 'h264', VIDEO_CODECS),
    audio: choiceOption(args, 'audio', 'aac', AUDIO_CODECS),
    width,
    height,
    fps,
    gop: Math.max(1, Math.round(numberOption(args, 'gop', 2, { min: 0.1, max: 60 }) * fps)),
    bitRateKbps: numberOption(args, 'bitrate', 0, { min: 0, max: 50_000 }),
    bFrames: numberOption(args, 'b-frames', 0, { min: 0, max: 4 }),
  };
  const names = args.options.get('camera') ?? ['nursery', 'garden'];
  const [username = '', ...password] = (last('user') ?? '').split(':');
  const stall = pairOption('stall', last('stall'));
  const drop = pairOption('drop', last('drop'));
  const jump = pairOption('jump', last('jump'));
  return {
    host,
    port,
    username,
    password: password.join(':'),
    cameras: names.map((name) => ({ name, main, ...(args.options.has('no-sub') ? { sub: false as const } : {}) })),
    faults: {
      lossPercent: numberOption(args, 'loss', 0, { min: 0, max: 100 }),
      ...(stall === undefined ? {} : { stallEveryS: stall[0], stallForS: stall[1] ?? 5 }),
      ...(drop === undefined ? {} : { dropEveryS: drop[0], dropForS: drop[1] ?? 0 }),
      ...(jump === undefined ? {} : { jumpEveryS: jump[0], jumpByS: jump[1] ?? 10 }),
      paramSets: choiceOption(args, 'param-sets', 'both', ['sdp', 'inband', 'both']),
    },
  };
}

function listenOption(text: string): { host: string; port: number } {
  const match = /^(?:(.*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw new UsageError(`--listen must be ADDRESS:PORT, not "${text}"`);
  return { host: match[1] === undefined || match[1] === '' ? '0.0.0.0' : match[1], port };
}

function sizeOption(text: string): [number, number] {
  const match = /^(\d{2,4})x(\d{2,4})$/.exec(text);
  if (match === null) throw new UsageError(`--size must be WIDTHxHEIGHT, not "${text}"`);
  return [Number(match[1]), Number(match[2])];
}

/** `EVERY` or `EVERY:FOR`, seconds. */
function pairOption(name: string, text: string | undefined): [number] | [number, number] | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?)(?::(-?\d+(?:\.\d+)?))?$/.exec(text);
  if (match === null || Number(match[1]) === 0) {
    throw new UsageError(`--${name} must be seconds as EVERY or EVERY:FOR, not "${text}"`);
  }
  return match[2] === undefined ? [Number(match[1])] : [Number(match[1]), Number(match[2])];
}
