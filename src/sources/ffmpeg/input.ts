import { isMediaFile } from '../../core/own-streams.ts';
import { parseSourceSpec, type SourceSpec } from '../../core/source.ts';
import { splitWords } from './arguments.ts';
import { refuse, shorten } from './asked.ts';

/** What an `ffmpeg:` source takes its media from. */
export interface FfmpegInput {
  /** With its `#` parameters that concern the connection. */
  readonly spec: SourceSpec;
  /** A stream of ours, what one of our sources reads, or what only FFmpeg's demuxers read. */
  readonly kind: 'stream' | 'source' | 'demuxer';
  /** A file begins again when it is over. */
  readonly loop: boolean;
}

/** Parameters for the connection to the input, handed to its own module. */
const CONNECTION = ['timeout', 'transport', 'header', 'backchannel'] as const;
/** Read by FFmpeg's demuxers alone. */
const DEMUXED: ReadonlySet<string> = new Set(['file', 'rtmp', 'rtmps', 'rtmpt', 'udp', 'tcp', 'srt', 'rtp']);
const DEVICES = /^(device|virtual|tts)\?/;
/** go2rtc's templates for inputs, which say what is done here anyway. */
const KNOWN_TEMPLATES: ReadonlySet<string> = new Set(['', 'file', 'http', 'rtsp']);
/** Arguments in front of `-i`, with a value, that have no effect on what comes in. */
const TUNING: ReadonlySet<string> = new Set(
  (
    'fflags flags avioflags analyzeduration probesize timeout stimeout loglevel v use_wallclock_as_timestamps hwaccel ' +
    'hwaccel_output_format hwaccel_device hwaccel_flags allowed_media_types reorder_queue_size max_delay ' +
    'thread_queue_size err_detect'
  ).split(' '),
);

interface InputDraft {
  transport: string | undefined;
  loop: boolean;
}

/**
 * @param url behind `ffmpeg:` and before the first `#`
 * @throws HearthcamError 400 for what can't be an input
 */
export function parseInput(
  url: string,
  params: SourceSpec['params'],
  templates: Readonly<Record<string, string>>,
): FfmpegInput {
  if (url === '') throw refuse('there is no input', 'write ffmpeg:<stream name> or ffmpeg:rtsp://…');
  const draft: InputDraft = { transport: undefined, loop: params.has('loop') };
  for (const value of params.get('input') ?? []) applyInput(draft, value, templates);
  const passed = CONNECTION.flatMap((key) => (params.get(key) ?? []).map((value) => `#${key}=${value}`));
  if (draft.transport !== undefined) passed.push(`#transport=${draft.transport}`);
  const spec = parseSourceSpec(url + passed.join(''));
  const device = DEVICES.exec(url)?.[1];
  if (device !== undefined) {
    throw refuse(
      `an input of the kind "${device}?" is not supported`,
      'its input may be a stream, a file, or a rtsp:// or http:// address',
    );
  }
  return { spec, kind: kindOf(spec), loop: draft.loop };
}

function kindOf(spec: SourceSpec): FfmpegInput['kind'] {
  if (DEMUXED.has(spec.scheme) || isMediaFile(spec.url)) return 'demuxer';
  return spec.scheme === '' ? 'stream' : 'source';
}

/** `#input=`: a template's name, or arguments of the ffmpeg program in front of its output. */
function applyInput(draft: InputDraft, value: string, templates: Readonly<Record<string, string>>): void {
  const template = Object.hasOwn(templates, value) ? templates[value] : undefined;
  if (value === 'rtsp/udp') draft.transport = 'udp';
  else if (template !== undefined) applyInputArguments(draft, template, `the template ${shorten(value)}`);
  else if (value.startsWith('-')) applyInputArguments(draft, value, '#input');
  else if (!KNOWN_TEMPLATES.has(value)) {
    throw refuse(`#input: there is no template "${shorten(value)}"`, 'write it below "ffmpeg:" in the configuration');
  }
}

function applyInputArguments(draft: InputDraft, text: string, where: string): void {
  const words = splitWords(text);
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const option = word.slice(1);
    // In real time is how a file is read anyway.
    if (word === '-re' || word === '-hide_banner') continue;
    const value = words[++at];
    if (value === undefined) throw refuse(`${where}: ${shorten(word)} needs a value`);
    if (word === '-i') {
      if (value !== '{input}') throw refuse(`${where}: -i must be followed by {input}`);
    } else if (word === '-stream_loop') {
      draft.loop = value !== '0';
    } else if (word === '-rtsp_transport' && (value === 'tcp' || value === 'udp')) {
      draft.transport = value;
    } else if (!TUNING.has(option)) {
      throw refuse(
        `${where}: ${shorten(word)} can't be done here`,
        'what can: -re, -stream_loop, -rtsp_transport tcp|udp',
      );
    }
  }
}
