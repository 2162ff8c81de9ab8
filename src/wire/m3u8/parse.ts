import { WireError } from '../../core/errors.ts';
import { parseAttributes, secondsToMs, wholeNumber } from './attributes.ts';
import type {
  ByteRange,
  EncryptionKey,
  MasterPlaylist,
  MediaMap,
  MediaPart,
  MediaPlaylist,
  MediaSegment,
  Playlist,
  Rendition,
  RenditionReport,
  ServerControl,
  Variant,
} from './playlist.ts';

/** A live playlist has some kilobytes; a day of one-second segments stays below this. */
const MAX_CHARACTERS = 8 * 1024 * 1024;
const MAX_SEGMENTS = 100_000;

/**
 * Reads a playlist. Tags that are not known are passed over, as §6.3.1 demands; so are damaged attributes.
 * @throws WireError when it does not begin with `#EXTM3U` or has neither segments, parts nor variants where it needs them
 */
export function parsePlaylist(text: string): Playlist {
  if (text.length > MAX_CHARACTERS) throw new WireError('m3u8.large', `a playlist of ${text.length} characters`, 0);
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  if (lines[0]?.trim() !== '#EXTM3U') {
    throw new WireError(
      'm3u8.start',
      `a playlist begins with #EXTM3U, this with "${(lines[0] ?? '').slice(0, 40)}"`,
      0,
    );
  }
  const master = lines.some((line) => line.startsWith('#EXT-X-STREAM-INF:'));
  return master ? parseMaster(lines) : new MediaParser().parse(lines);
}

function split(line: string): { tag: string; value: string } {
  const colon = line.indexOf(':');
  return colon < 0
    ? { tag: line.trim(), value: '' }
    : { tag: line.slice(0, colon), value: line.slice(colon + 1).trim() };
}

function parseMaster(lines: readonly string[]): MasterPlaylist {
  const variants: Variant[] = [];
  const renditions: Rendition[] = [];
  let independentSegments = false;
  let pending: ReadonlyMap<string, string> | undefined;
  for (const raw of lines) {
    const line = raw.trim();
    if (line === '') continue;
    if (!line.startsWith('#')) {
      if (pending !== undefined) variants.push(variantFrom(pending, line));
      pending = undefined;
      continue;
    }
    const { tag, value } = split(line);
    if (tag === '#EXT-X-STREAM-INF') pending = parseAttributes(value);
    else if (tag === '#EXT-X-INDEPENDENT-SEGMENTS') independentSegments = true;
    else if (tag === '#EXT-X-MEDIA') renditions.push(renditionFrom(parseAttributes(value)));
  }
  if (variants.length === 0) throw new WireError('m3u8.empty', 'a multivariant playlist without a variant', 0);
  return { kind: 'master', independentSegments, variants, renditions };
}

function variantFrom(attributes: ReadonlyMap<string, string>, uri: string): Variant {
  const average = wholeNumber(attributes.get('AVERAGE-BANDWIDTH'));
  const size = /^(\d{1,5})x(\d{1,5})$/.exec(attributes.get('RESOLUTION') ?? '');
  const rate = Number(attributes.get('FRAME-RATE') ?? Number.NaN);
  const audioGroup = attributes.get('AUDIO');
  const codecs = (attributes.get('CODECS') ?? '').split(',').map((codec) => codec.trim());
  return {
    uri,
    bandwidth: wholeNumber(attributes.get('BANDWIDTH')) ?? 0,
    codecs: codecs.filter((codec) => codec !== ''),
    ...(average === undefined ? {} : { averageBandwidth: average }),
    ...(size === null ? {} : { width: Number(size[1]), height: Number(size[2]) }),
    ...(rate > 0 && Number.isFinite(rate) ? { frameRate: rate } : {}),
    ...(audioGroup === undefined ? {} : { audioGroup }),
  };
}

function renditionFrom(attributes: ReadonlyMap<string, string>): Rendition {
  return {
    type: attributes.get('TYPE') ?? '',
    groupId: attributes.get('GROUP-ID') ?? '',
    name: attributes.get('NAME') ?? '',
    uri: attributes.get('URI'),
    isDefault: attributes.get('DEFAULT') === 'YES',
  };
}

class MediaParser {
  #version = 1;
  #targetDurationMs: number | undefined;
  #partTargetMs: number | undefined;
  #serverControl: ServerControl | undefined;
  #mediaSequence = 0;
  #discontinuitySequence = 0;
  #independentSegments = false;
  #ended = false;
  #skipped = 0;
  #preloadHint: string | undefined;
  readonly #segments: MediaSegment[] = [];
  readonly #reports: RenditionReport[] = [];
  // What the tags before a segment's address say about it.
  #map: MediaMap | undefined;
  #key: EncryptionKey | undefined;
  #durationMs: number | undefined;
  #byteRange: ByteRange | undefined;
  #discontinuity = false;
  #gap = false;
  #dateMs: number | undefined;
  #parts: MediaPart[] = [];

  parse(lines: readonly string[]): MediaPlaylist {
    for (const raw of lines) {
      const line = raw.trim();
      if (line === '') continue;
      if (line.startsWith('#EXT')) {
        const { tag, value } = split(line);
        this.#tag(tag, value);
      } else if (!line.startsWith('#') && this.#durationMs !== undefined) {
        this.#push(line);
      }
    }
    if (this.#parts.length > 0) this.#push('');
    if (this.#targetDurationMs === undefined && this.#segments.length === 0) {
      throw new WireError('m3u8.empty', 'a media playlist with neither a target duration nor a segment', 0);
    }
    const longestMs = Math.max(0, ...this.#segments.slice(0, 1000).map((segment) => segment.durationMs));
    return {
      kind: 'media',
      version: this.#version,
      targetDurationMs: this.#targetDurationMs ?? longestMs,
      ...(this.#partTargetMs === undefined ? {} : { partTargetMs: this.#partTargetMs }),
      ...(this.#serverControl === undefined ? {} : { serverControl: this.#serverControl }),
      mediaSequence: this.#mediaSequence,
      discontinuitySequence: this.#discontinuitySequence,
      independentSegments: this.#independentSegments,
      ended: this.#ended,
      skippedSegments: this.#skipped,
      segments: this.#segments,
      ...(this.#preloadHint === undefined ? {} : { preloadHint: this.#preloadHint }),
      renditionReports: this.#reports,
    };
  }

  #tag(tag: string, value: string): void {
    switch (tag) {
      case '#EXTINF':
        this.#durationMs = secondsToMs(value.split(',')[0]) ?? 0;
        return;
      case '#EXT-X-BYTERANGE':
        this.#byteRange = parseRange(value);
        return;
      case '#EXT-X-DISCONTINUITY':
        this.#discontinuity = true;
        return;
      case '#EXT-X-GAP':
        this.#gap = true;
        return;
      case '#EXT-X-MAP':
        this.#map = mapFrom(parseAttributes(value));
        return;
      case '#EXT-X-KEY':
        this.#key = keyFrom(parseAttributes(value));
        return;
      case '#EXT-X-PROGRAM-DATE-TIME': {
        const ms = Date.parse(value);
        if (!Number.isNaN(ms)) this.#dateMs = ms;
        return;
      }
      case '#EXT-X-PART': {
        const part = partFrom(parseAttributes(value));
        if (part !== undefined && this.#parts.length < MAX_SEGMENTS) this.#parts.push(part);
        return;
      }
      default:
        this.#header(tag, value);
    }
  }

  #header(tag: string, value: string): void {
    switch (tag) {
      case '#EXT-X-VERSION':
        this.#version = wholeNumber(value) ?? 1;
        return;
      case '#EXT-X-TARGETDURATION':
        this.#targetDurationMs = secondsToMs(value);
        return;
      case '#EXT-X-MEDIA-SEQUENCE':
        this.#mediaSequence = wholeNumber(value) ?? 0;
        return;
      case '#EXT-X-DISCONTINUITY-SEQUENCE':
        this.#discontinuitySequence = wholeNumber(value) ?? 0;
        return;
      case '#EXT-X-INDEPENDENT-SEGMENTS':
        this.#independentSegments = true;
        return;
      case '#EXT-X-ENDLIST':
        this.#ended = true;
        return;
      case '#EXT-X-PART-INF':
        this.#partTargetMs = secondsToMs(parseAttributes(value).get('PART-TARGET'));
        return;
      case '#EXT-X-SERVER-CONTROL':
        this.#serverControl = controlFrom(parseAttributes(value));
        return;
      case '#EXT-X-SKIP':
        this.#skipped = Math.min(wholeNumber(parseAttributes(value).get('SKIPPED-SEGMENTS')) ?? 0, MAX_SEGMENTS);
        return;
      case '#EXT-X-PRELOAD-HINT': {
        const hint = parseAttributes(value);
        if (hint.get('TYPE') === 'PART') this.#preloadHint = hint.get('URI');
        return;
      }
      case '#EXT-X-RENDITION-REPORT': {
        const report = reportFrom(parseAttributes(value));
        if (report !== undefined) this.#reports.push(report);
        return;
      }
      default:
    }
  }

  #push(uri: string): void {
    if (this.#segments.length >= MAX_SEGMENTS) throw new WireError('m3u8.segments', `over ${MAX_SEGMENTS} segments`, 0);
    const partsMs = this.#parts.reduce((sum, part) => sum + part.durationMs, 0);
    this.#segments.push({
      sequence: this.#mediaSequence + this.#skipped + this.#segments.length,
      uri,
      durationMs: this.#durationMs ?? partsMs,
      ...(this.#byteRange === undefined ? {} : { byteRange: this.#byteRange }),
      ...(this.#map === undefined ? {} : { map: this.#map }),
      ...(this.#key === undefined ? {} : { key: this.#key }),
      discontinuity: this.#discontinuity,
      gap: this.#gap,
      ...(this.#dateMs === undefined ? {} : { programDateTimeMs: this.#dateMs }),
      parts: this.#parts,
    });
    this.#durationMs = undefined;
    this.#byteRange = undefined;
    this.#discontinuity = false;
    this.#gap = false;
    this.#dateMs = undefined;
    this.#parts = [];
  }
}

function parseRange(text: string): ByteRange | undefined {
  const match = /^(\d{1,15})(?:@(\d{1,15}))?$/.exec(text.trim());
  if (match === null) return undefined;
  return { bytes: Number(match[1]), offset: match[2] === undefined ? undefined : Number(match[2]) };
}

function mapFrom(attributes: ReadonlyMap<string, string>): MediaMap | undefined {
  const uri = attributes.get('URI');
  if (uri === undefined) return undefined;
  const byteRange = parseRange(attributes.get('BYTERANGE') ?? '');
  return byteRange === undefined ? { uri } : { uri, byteRange };
}

function keyFrom(attributes: ReadonlyMap<string, string>): EncryptionKey | undefined {
  const method = attributes.get('METHOD') ?? 'NONE';
  if (method === 'NONE') return undefined;
  const iv = /^0x([0-9a-f]{32})$/i.exec(attributes.get('IV') ?? '')?.[1];
  return { method, uri: attributes.get('URI'), iv: iv === undefined ? undefined : Buffer.from(iv, 'hex') };
}

function partFrom(attributes: ReadonlyMap<string, string>): MediaPart | undefined {
  const uri = attributes.get('URI');
  const durationMs = secondsToMs(attributes.get('DURATION'));
  if (uri === undefined || durationMs === undefined) return undefined;
  const byteRange = parseRange(attributes.get('BYTERANGE') ?? '');
  return {
    uri,
    durationMs,
    independent: attributes.get('INDEPENDENT') === 'YES',
    gap: attributes.get('GAP') === 'YES',
    ...(byteRange === undefined ? {} : { byteRange }),
  };
}

function controlFrom(attributes: ReadonlyMap<string, string>): ServerControl {
  const skip = secondsToMs(attributes.get('CAN-SKIP-UNTIL'));
  const hold = secondsToMs(attributes.get('HOLD-BACK'));
  const partHold = secondsToMs(attributes.get('PART-HOLD-BACK'));
  return {
    canBlockReload: attributes.get('CAN-BLOCK-RELOAD') === 'YES',
    ...(skip === undefined ? {} : { canSkipUntilMs: skip }),
    ...(hold === undefined ? {} : { holdBackMs: hold }),
    ...(partHold === undefined ? {} : { partHoldBackMs: partHold }),
  };
}

function reportFrom(attributes: ReadonlyMap<string, string>): RenditionReport | undefined {
  const uri = attributes.get('URI');
  const lastSequence = wholeNumber(attributes.get('LAST-MSN'));
  if (uri === undefined || lastSequence === undefined) return undefined;
  return { uri, lastSequence, lastPart: wholeNumber(attributes.get('LAST-PART')) };
}
