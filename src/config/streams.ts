import type { Rendition } from '../core/qualities.ts';
import { isConfigMap } from './document.ts';
import { CAMERA_VARIANTS } from './sections.ts';
import { renditionsSchema, type TranscodeWord, toRenditions, transcodeMode } from './transcode.ts';

/** Sources by stream name, in the order of the file. An empty list is a stream that others publish to. */
export type StreamSources = Readonly<Record<string, readonly string[]>>;

/** An entry of `streams:` or a variant of a camera as a list: text, list, `{url: …}`, or nothing. */
function sourceList(value: unknown): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (Array.isArray(value)) return value.filter((one) => typeof one === 'string' && one !== '');
  if (isConfigMap(value)) return sourceList(value['url']);
  return [];
}

export interface CameraLayout {
  /** All streams: those of `streams:` and those that the cameras make. */
  readonly streams: StreamSources;
  /** Stream names by camera, best picture first. */
  readonly cameras: Readonly<Record<string, readonly string[]>>;
  /** Streams with a `transcode:` of their own. */
  readonly modes: Readonly<Record<string, TranscodeWord>>;
  /** Smaller pictures to make, by stream. */
  readonly renditions: Readonly<Record<string, readonly Rendition[]>>;
  /** Stream names that both sections give, with the camera that wins. */
  readonly clashes: readonly { readonly stream: string; readonly camera: string }[];
}

/** `cameras: {nursery: {main, sub}}` makes the streams `nursery` and `nursery_sub` and groups them. */
export function layOut(
  streams: Readonly<Record<string, unknown>>,
  cameras: Readonly<Record<string, unknown>>,
): CameraLayout {
  const out: Record<string, readonly string[]> = {};
  const groups: Record<string, readonly string[]> = {};
  const clashes: { stream: string; camera: string }[] = [];
  const modes: Record<string, TranscodeWord> = {};
  const renditions: Record<string, readonly Rendition[]> = {};
  /** What is said of a stream besides its sources; of a camera: `transcode` for all its streams. */
  const readDetails = (value: unknown, main: string, all: readonly string[]): void => {
    for (const name of all) {
      delete modes[name];
      delete renditions[name];
    }
    if (!isConfigMap(value)) return;
    const mode = transcodeMode.safeParse(value['transcode']);
    if (mode.success) for (const name of all) modes[name] = mode.data;
    const wanted = renditionsSchema.safeParse(value['renditions']);
    if (wanted.success && wanted.data.length > 0) renditions[main] = toRenditions(wanted.data);
  };
  for (const [name, value] of Object.entries(streams)) {
    out[name] = sourceList(value);
    readDetails(value, name, [name]);
  }
  for (const [name, value] of Object.entries(cameras)) {
    const variants = isConfigMap(value) ? value : { main: value };
    const made: string[] = [];
    for (const variant of CAMERA_VARIANTS) {
      if (variants[variant] === undefined) continue;
      const stream = variant === 'main' ? name : `${name}_${variant}`;
      if (Object.hasOwn(streams, stream)) clashes.push({ stream, camera: name });
      out[stream] = sourceList(variants[variant]);
      made.push(stream);
    }
    groups[name] = made;
    readDetails(value, name, made);
  }
  return { streams: out, cameras: groups, modes, renditions, clashes };
}

export interface StreamChanges {
  /** New streams and those with other sources. */
  readonly set: StreamSources;
  readonly removed: readonly string[];
}

/** What must be done to get from one configuration to the other; streams that stay the same are not mentioned. */
export function diffStreams(before: StreamSources, after: StreamSources): StreamChanges {
  const set: Record<string, readonly string[]> = {};
  for (const [name, sources] of Object.entries(after)) {
    const old = Object.hasOwn(before, name) ? before[name] : undefined;
    if (old === undefined || old.length !== sources.length || old.some((one, index) => one !== sources[index])) {
      set[name] = sources;
    }
  }
  return { set, removed: Object.keys(before).filter((name) => !Object.hasOwn(after, name)) };
}
