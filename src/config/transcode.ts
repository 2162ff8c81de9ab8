import { z } from 'zod';
import type { Rendition } from '../core/qualities.ts';
import { HARDWARE } from '../core/targets.ts';

export const TRANSCODE_MODES = ['auto', 'audio', 'never'] as const;
export type TranscodeWord = (typeof TRANSCODE_MODES)[number];

export const transcodeMode = z.enum(TRANSCODE_MODES);

/** The section `transcode`: one word, or a map. */
export const transcodeSchema = z
  .union([
    transcodeMode,
    z.object({
      mode: transcodeMode
        .default('audio')
        .describe(
          'What is made of what a viewer can not play: audio = sound, and pictures only where hardware does it; auto = pictures by software too; never = nothing.',
        ),
      max_encodes: z
        .number()
        .int()
        .min(1)
        .max(256)
        .optional()
        .describe('Pictures that may be made at the same time; the number of processor cores unless set.'),
      hardware: z
        .enum([...HARDWARE, 'off'])
        .default('auto')
        .describe('auto = whatever was found to work, off = software only, or one kind alone.'),
    }),
  ])
  .default('audio')
  .describe('What the server makes of sound and pictures that a viewer can not play.');

const MIN_KBPS = 10;
const MAX_KBPS = 100_000;
const MAX_PIXELS = 8_192;
const MAX_RENDITIONS = 8;

const shortForm = z
  .string()
  .regex(/^\s*\d{2,4}p?\s*$/i, 'must be a height such as 720p, or a map such as {height: 720, bitrate: 2M}')
  .refine((text) => isPixels(Number.parseInt(text, 10)), `must be a height from 16 to ${MAX_PIXELS}`);

const bitrate = z.union([z.string(), z.number()]).refine((value) => bitrateKbps(value) !== undefined, {
  message: `must be a bit rate such as 800k or 2M, from ${MIN_KBPS}k to ${MAX_KBPS / 1000}M`,
});

const pixels = z.number().int().min(16).max(MAX_PIXELS);

const longForm = z
  .object({
    name: z
      .string()
      .regex(/^[\w.-]{1,40}$/, 'must be one word of letters, digits, "-", "_", "."')
      .optional()
      .describe('What viewers choose it by; made from the other keys unless set.'),
    width: pixels.optional().describe('Pixels; follows from the height unless set.'),
    height: pixels.optional().describe('Pixels; follows from the width unless set.'),
    bitrate: bitrate.optional().describe('For example 800k or 2M; suits the size unless set.'),
    fps: z.number().min(0.1).max(120).optional().describe('Pictures a second, at most.'),
  })
  .refine((entry) => Object.keys(nameless(entry)).length > 0, 'needs a width, height, bitrate or fps');

type RenditionEntry = z.infer<typeof shortForm> | z.infer<typeof longForm>;

export const renditionsSchema = z
  .array(z.union([shortForm, longForm]))
  .max(MAX_RENDITIONS, `no more than ${MAX_RENDITIONS} are made of one stream`)
  .superRefine((entries, context) => {
    const seen = new Set(RESERVED);
    for (const [index, entry] of entries.entries()) {
      const { name } = toRendition(entry);
      if (seen.has(name)) {
        const message = RESERVED.has(name)
          ? `"${name}" is what the camera sends itself`
          : `"${name}" stands here twice`;
        context.addIssue({ code: 'custom', path: [index], message });
      }
      seen.add(name);
    }
  })
  .describe('Smaller pictures made while somebody watches them: 720p, or {width, height, bitrate, fps, name}.');

/** Names of the camera's own streams, see `qualitiesOf`. */
const RESERVED: ReadonlySet<string> = new Set(['main', 'ext', 'sub', 'auto']);

/** What was written under `renditions:`, accepted by its schema, with what it leaves open filled in. */
export function toRenditions(entries: readonly RenditionEntry[]): readonly Rendition[] {
  return entries.map(toRendition);
}

function toRendition(entry: RenditionEntry): Rendition {
  const wanted = typeof entry === 'string' ? { height: Number.parseInt(entry, 10) } : entry;
  const { width, height, fps }: z.infer<typeof longForm> = wanted;
  const given = 'bitrate' in wanted && wanted.bitrate !== undefined ? bitrateKbps(wanted.bitrate) : undefined;
  const lines = height ?? (width === undefined ? undefined : (width * 9) / 16);
  const suited = lines === undefined ? undefined : suitable(lines);
  const kbps = given ?? suited?.kbps;
  const rate = fps ?? suited?.fps;
  const own = 'name' in wanted ? wanted.name : undefined;
  return {
    name: own ?? nameFor(height, width, given, fps),
    picture: {
      kind: 'video',
      codec: 'h264',
      ...(width === undefined ? {} : { width }),
      ...(height === undefined ? {} : { height }),
      ...(kbps === undefined ? {} : { bitrateKbps: kbps }),
      ...(rate === undefined ? {} : { fps: rate }),
    },
  };
}

function nameFor(height?: number, width?: number, kbps?: number, fps?: number): string {
  if (height !== undefined) return `${height}p`;
  if (width !== undefined) return `${width}w`;
  return kbps === undefined ? `${fps ?? 0}fps` : `${kbps}k`;
}

/**
 * Bit rates at which H.264 of a camera's scene looks right at that height, made in real time by a fast preset; between
 * the rows in proportion. Pictures a second at most: on a link that is too slow for 480 lines, few good pictures show
 * more than many bad ones.
 */
const SUITABLE: readonly { readonly lines: number; readonly kbps: number; readonly fps: number }[] = [
  { lines: 144, kbps: 150, fps: 15 },
  { lines: 240, kbps: 350, fps: 15 },
  { lines: 360, kbps: 700, fps: 30 },
  { lines: 480, kbps: 1_100, fps: 30 },
  { lines: 720, kbps: 2_200, fps: 30 },
  { lines: 1080, kbps: 4_500, fps: 30 },
  { lines: 1440, kbps: 8_000, fps: 30 },
  { lines: 2160, kbps: 16_000, fps: 30 },
];

function suitable(lines: number): { kbps: number; fps: number } {
  const upper = SUITABLE.findIndex((row) => row.lines >= lines);
  const above = SUITABLE[upper] ?? SUITABLE.at(-1);
  const below = SUITABLE[upper - 1];
  if (above === undefined) return { kbps: 1_000, fps: 30 };
  if (below === undefined || upper < 0) {
    const kbps = upper < 0 ? above.kbps : (above.kbps * lines) / above.lines;
    return { kbps: Math.max(50, round(kbps)), fps: above.fps };
  }
  const share = (lines - below.lines) / (above.lines - below.lines);
  return {
    kbps: round(below.kbps + share * (above.kbps - below.kbps)),
    fps: lines < above.lines ? below.fps : above.fps,
  };
}

function round(kbps: number): number {
  return Math.round(kbps / 10) * 10;
}

/** `800k`, `2M`, or bits a second. Undefined for what is none, or none that a picture could have. */
function bitrateKbps(value: string | number): number | undefined {
  const match = /^\s*(\d{1,9}(?:\.\d{1,6})?)\s*(k|m|)(?:bps|bit\/s|b\/s)?\s*$/i.exec(String(value));
  if (match === null) return undefined;
  const unit = match[2]?.toLowerCase();
  const factor = unit === 'm' ? 1_000 : unit === 'k' ? 1 : 1 / 1_000;
  const kbps = Math.round(Number(match[1]) * factor);
  return kbps >= MIN_KBPS && kbps <= MAX_KBPS ? kbps : undefined;
}

function isPixels(value: number): boolean {
  return value >= 16 && value <= MAX_PIXELS;
}

function nameless(entry: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(entry).filter(([key, value]) => key !== 'name' && value !== undefined));
}
