import type { ByteRange, MasterPlaylist, MediaMap, MediaPart, MediaPlaylist, MediaSegment } from './playlist.ts';

/** Multivariant playlist (RFC 8216bis §4.4.6). */
export function writeMasterPlaylist(playlist: MasterPlaylist): string {
  const lines = ['#EXTM3U'];
  if (playlist.independentSegments) lines.push('#EXT-X-INDEPENDENT-SEGMENTS');
  for (const rendition of playlist.renditions) {
    const { type, groupId, name, uri, isDefault } = rendition;
    const where = uri === undefined ? '' : `,URI=${quoted(uri)}`;
    const start = `TYPE=${type},GROUP-ID=${quoted(groupId)},NAME=${quoted(name)}`;
    lines.push(`#EXT-X-MEDIA:${start},DEFAULT=${isDefault ? 'YES' : 'NO'}${where}`);
  }
  for (const variant of playlist.variants) {
    const attributes = [`BANDWIDTH=${Math.ceil(variant.bandwidth)}`];
    if (variant.averageBandwidth !== undefined) {
      attributes.push(`AVERAGE-BANDWIDTH=${Math.ceil(variant.averageBandwidth)}`);
    }
    if (variant.codecs.length > 0) attributes.push(`CODECS=${quoted(variant.codecs.join(','))}`);
    if (variant.width !== undefined && variant.height !== undefined) {
      attributes.push(`RESOLUTION=${variant.width}x${variant.height}`);
    }
    if (variant.frameRate !== undefined) attributes.push(`FRAME-RATE=${variant.frameRate.toFixed(3)}`);
    if (variant.audioGroup !== undefined) attributes.push(`AUDIO=${quoted(variant.audioGroup)}`);
    lines.push(`#EXT-X-STREAM-INF:${attributes.join(',')}`, variant.uri);
  }
  return `${lines.join('\n')}\n`;
}

/** Media playlist (RFC 8216bis §4.4.3). */
export function writeMediaPlaylist(playlist: MediaPlaylist): string {
  const lines = [
    '#EXTM3U',
    `#EXT-X-VERSION:${playlist.version}`,
    `#EXT-X-TARGETDURATION:${Math.round(playlist.targetDurationMs / 1000)}`,
  ];
  const control = playlist.serverControl;
  if (control !== undefined) {
    const attributes = control.canBlockReload ? ['CAN-BLOCK-RELOAD=YES'] : [];
    if (control.canSkipUntilMs !== undefined) attributes.push(`CAN-SKIP-UNTIL=${seconds(control.canSkipUntilMs)}`);
    if (control.holdBackMs !== undefined) attributes.push(`HOLD-BACK=${seconds(control.holdBackMs)}`);
    if (control.partHoldBackMs !== undefined) attributes.push(`PART-HOLD-BACK=${seconds(control.partHoldBackMs)}`);
    lines.push(`#EXT-X-SERVER-CONTROL:${attributes.join(',')}`);
  }
  if (playlist.partTargetMs !== undefined) lines.push(`#EXT-X-PART-INF:PART-TARGET=${seconds(playlist.partTargetMs)}`);
  lines.push(`#EXT-X-MEDIA-SEQUENCE:${playlist.mediaSequence}`);
  if (playlist.discontinuitySequence > 0) lines.push(`#EXT-X-DISCONTINUITY-SEQUENCE:${playlist.discontinuitySequence}`);
  if (playlist.independentSegments) lines.push('#EXT-X-INDEPENDENT-SEGMENTS');
  if (playlist.skippedSegments > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${playlist.skippedSegments}`);
  let map: MediaMap | undefined;
  for (const segment of playlist.segments) {
    pushSegment(lines, segment, map);
    map = segment.map;
  }
  if (playlist.preloadHint !== undefined) {
    lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI=${quoted(playlist.preloadHint)}`);
  }
  for (const report of playlist.renditionReports) {
    const part = report.lastPart === undefined ? '' : `,LAST-PART=${report.lastPart}`;
    lines.push(`#EXT-X-RENDITION-REPORT:URI=${quoted(report.uri)},LAST-MSN=${report.lastSequence}${part}`);
  }
  if (playlist.ended) lines.push('#EXT-X-ENDLIST');
  return `${lines.join('\n')}\n`;
}

function pushSegment(lines: string[], segment: MediaSegment, mapBefore: MediaMap | undefined): void {
  const { map, key } = segment;
  if (segment.discontinuity) lines.push('#EXT-X-DISCONTINUITY');
  if (key !== undefined) {
    const uri = key.uri === undefined ? '' : `,URI=${quoted(key.uri)}`;
    const iv = key.iv === undefined ? '' : `,IV=0x${key.iv.toString('hex')}`;
    lines.push(`#EXT-X-KEY:METHOD=${key.method}${uri}${iv}`);
  }
  if (map !== undefined && (segment.discontinuity || !sameMap(map, mapBefore))) {
    lines.push(`#EXT-X-MAP:URI=${quoted(map.uri)}${rangeAttribute(map.byteRange)}`);
  }
  if (segment.programDateTimeMs !== undefined) {
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(segment.programDateTimeMs).toISOString()}`);
  }
  if (segment.gap) lines.push('#EXT-X-GAP');
  for (const part of segment.parts) lines.push(partLine(part));
  if (segment.uri === '') return;
  lines.push(`#EXTINF:${seconds(segment.durationMs)},`);
  if (segment.byteRange !== undefined) lines.push(`#EXT-X-BYTERANGE:${rangeText(segment.byteRange)}`);
  lines.push(segment.uri);
}

function sameMap(one: MediaMap, other: MediaMap | undefined): boolean {
  const a = one.byteRange;
  const b = other?.byteRange;
  return one.uri === other?.uri && a?.bytes === b?.bytes && a?.offset === b?.offset;
}

function partLine(part: MediaPart): string {
  const independent = part.independent ? ',INDEPENDENT=YES' : '';
  const gap = part.gap ? ',GAP=YES' : '';
  const range = rangeAttribute(part.byteRange);
  return `#EXT-X-PART:DURATION=${seconds(part.durationMs)},URI=${quoted(part.uri)}${range}${independent}${gap}`;
}

function rangeText(range: ByteRange): string {
  return range.offset === undefined ? String(range.bytes) : `${range.bytes}@${range.offset}`;
}

function rangeAttribute(range: ByteRange | undefined): string {
  return range === undefined ? '' : `,BYTERANGE=${quoted(rangeText(range))}`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(5).replace(/0{1,2}$/, '');
}

/** A quoted-string can hold neither quotes nor line breaks (§4.2); what would break out of it is left out. */
function quoted(text: string): string {
  return `"${text.replace(/["\r\n]/g, '')}"`;
}
