import type { OptionSpec } from './args.ts';

export const CONFIG_OPTION: OptionSpec = {
  names: ['config', 'c'],
  value: 'FILE',
  help: 'configuration file, inline {yaml}, or key=value such as log.level=debug; may be repeated, later ones win',
};

export interface CommandSpec {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  readonly options: readonly OptionSpec[];
}

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'serve',
    usage: 'serve [-c FILE]…',
    help: 'run the server (default); without a configuration file it runs the demo',
    options: [CONFIG_OPTION],
  },
  {
    name: 'demo',
    usage: 'demo [-c key=value]…',
    help: 'run the server with a simulated camera and print the links that work at once',
    options: [CONFIG_OPTION],
  },
  {
    name: 'check',
    usage: 'check [-c FILE]… | check --hardware',
    help: 'read the configuration and print what is wrong, with line and column; exit code 1 on errors',
    options: [
      CONFIG_OPTION,
      {
        names: ['hardware'],
        help: 'try instead what the graphics hardware decodes and codes, and say what is missing',
      },
    ],
  },
  {
    name: 'notify',
    usage: 'notify test NAME [-c FILE]…',
    help: 'tell a webhook, an ntfy topic or "push" of the configuration of an event that never was',
    options: [CONFIG_OPTION],
  },
  {
    name: 'simulate',
    usage: 'simulate [options]',
    help: 'run the camera simulator alone: an RTSP server with a moving picture, a clock and sound',
    options: [
      { names: ['listen'], value: 'ADDRESS', help: 'where its RTSP server listens (default 127.0.0.1:18554)' },
      { names: ['camera'], value: 'NAME', help: 'a camera; may be repeated (default nursery and garden)' },
      { names: ['no-sub'], help: 'no sub streams' },
      { names: ['codec'], value: 'h264|h265', help: 'video codec (default h264)' },
      { names: ['audio'], value: 'CODEC', help: 'aac, opus, pcma, pcmu or none (default aac)' },
      { names: ['size'], value: 'WxH', help: 'picture size of the main stream (default 1280x720)' },
      { names: ['fps'], value: 'N', help: 'pictures a second (default 15)' },
      { names: ['gop'], value: 'SECONDS', help: 'time between key frames (default 2)' },
      {
        names: ['bitrate'],
        value: 'KBIT',
        help: 'bit rate to reach with added noise; 0 = as the picture needs (default)',
      },
      { names: ['b-frames'], value: 'N', help: 'pictures that are shown before one they follow (default 0)' },
      { names: ['user'], value: 'NAME:PASSWORD', help: 'ask for these credentials' },
      { names: ['loss'], value: 'PERCENT', help: 'leave out this share of the packets' },
      { names: ['stall'], value: 'EVERY:FOR', help: 'send nothing for FOR seconds, each EVERY seconds' },
      { names: ['drop'], value: 'EVERY:FOR', help: 'close all connections and refuse new ones for FOR seconds' },
      { names: ['jump'], value: 'EVERY:BY', help: 'let the time stamps jump by BY seconds' },
      { names: ['param-sets'], value: 'WHERE', help: 'parameter sets: sdp, inband or both (default)' },
    ],
  },
  {
    name: 'listen',
    usage: 'listen FILE | listen --evaluate DIR',
    help: 'print when a baby cries in a recording; or score the detector on a labelled folder (docs/cry.md)',
    options: [
      { names: ['evaluate'], value: 'DIR', help: 'folder with scenes/*.csv and clips/labels.csv' },
      { names: ['sensitivity'], value: 'WORD', help: 'low, balanced (default) or high' },
      { names: ['sound'], value: 'NAME', help: 'listen also for this sound, e.g. bark; may be repeated' },
      { names: ['models'], value: 'DIR', help: 'where the model lies or is put (default models)' },
      { names: ['json'], help: 'print everything as JSON' },
      { names: ['plot'], value: 'FILE.svg', help: 'draw score, level and events, or the curve of an evaluation' },
    ],
  },
];

export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { names: ['version', 'v'], help: 'print the version' },
  { names: ['help', 'h'], help: 'print this help' },
  { names: ['daemon', 'd'], help: 'not supported: use systemd, Docker, or & of the shell' },
];

export function helpText(): string {
  const lines = [
    'Hearthcam: one connection to each camera, every protocol to the viewers.',
    '',
    'Usage: hearthcam [command] [options]',
    '',
  ];
  for (const command of COMMANDS) {
    lines.push(`  ${command.usage}`, `      ${command.help}`);
    for (const option of command.options) {
      const names = option.names.map((name) => (name.length === 1 ? `-${name}` : `--${name}`)).join(', ');
      lines.push(`      ${names}${option.value === undefined ? '' : ` ${option.value}`}`.padEnd(38) + option.help);
    }
    lines.push('');
  }
  lines.push('  -v, --version   print the version', '  -h, --help      print this help', '');
  return lines.join('\n');
}
