import { writeU64 } from './box.ts';

/**
 * A copy of a fragment made by `fragment` (or of its header by `fragmentPieces`) whose decoding times are less by
 * `baseTicks(trackId)`, for players that read a file's times as they are and know no edit lists in fragments (VLC).
 * Times that would be negative become 0.
 */
export function rebaseFragment(bytes: Buffer, baseTicks: (trackId: number) => number): Buffer {
  const out = Buffer.from(bytes);
  const end = out.readUInt32BE(0);
  for (let at = 8; at < end; at += out.readUInt32BE(at)) {
    if (out.toString('latin1', at + 4, at + 8) !== 'traf') continue;
    // tfhd (with the track's id) and tfdt come first: see `writeFragmentHeader`.
    const trackId = out.readUInt32BE(at + 8 + 12);
    const tfdt = at + 8 + 16;
    const ticks = Number(out.readBigUInt64BE(tfdt + 12));
    writeU64(out, Math.max(0, ticks - baseTicks(trackId)), tfdt + 12);
  }
  return out;
}
