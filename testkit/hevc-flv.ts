import { forEachAnnexBNal } from '../src/wire/codecs/nal.ts';
import { flvHeader, hevcPrefix, writeFlvTags } from '../src/wire/flv/writer.ts';
import { buildHvcC } from '../src/wire/h265/format.ts';
import { lengthPrefixed } from './nal.ts';

/**
 * For tests: an H.265 byte stream of 25 pictures a second as FLV, which Debian's ffmpeg can't write: with codec id 12 as
 * older Reolink cameras do, or with the enhanced header.
 */
export function hevcFlv(annexB: Buffer, form: 'codec 12' | 'enhanced'): Buffer {
  const sets = { vps: [] as Buffer[], sps: [] as Buffer[], pps: [] as Buffer[] };
  const pictures: { key: boolean; nals: Buffer[] }[] = [];
  forEachAnnexBNal(annexB, (data, start, end) => {
    const nal = data.subarray(start, end);
    const type = ((nal[0] ?? 0) >> 1) & 0x3f;
    if (type === 32) sets.vps[0] ??= nal;
    else if (type === 33) sets.sps[0] ??= nal;
    else if (type === 34) sets.pps[0] ??= nal;
    else if (type < 32) {
      if (((nal[2] ?? 0) & 0x80) !== 0) pictures.push({ key: type >= 16, nals: [] });
      pictures.at(-1)?.nals.push(nal);
    }
  });
  const prefix = (what: 'config' | 'frame', key: boolean): Buffer =>
    form === 'enhanced'
      ? hevcPrefix(what, key, 0)
      : Buffer.from([((key ? 1 : 2) << 4) | 12, what === 'config' ? 0 : 1, 0, 0, 0]);
  return Buffer.concat([
    flvHeader({ video: true, audio: false }),
    writeFlvTags([
      { kind: 'video', timestampMs: 0, prefix: prefix('config', true), data: buildHvcC(sets) },
      ...pictures.map(({ key, nals }, index) => ({
        kind: 'video' as const,
        timestampMs: index * 40,
        prefix: prefix('frame', key),
        data: lengthPrefixed(nals),
      })),
    ]),
  ]);
}
