import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { FragmentClock } from './fragment-clock.ts';

/** A real fragmented MP4 with sound, one picture of 40 ms in each fragment, cut into its top-level boxes. */
async function realBoxes(): Promise<{ type: string; bytes: ArrayBuffer }[]> {
  const input = ['-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=25', '-f', 'lavfi', '-i', 'sine'];
  const codecs = ['-c:v', 'libx264', '-bf', '0', '-c:a', 'flac', '-strict', '-2'];
  const output = ['-movflags', 'frag_every_frame+empty_moov+default_base_moof', '-f', 'mp4', '-'];
  const { stdout } = await promisify(execFile)('ffmpeg', ['-v', 'error', ...input, '-t', '1', ...codecs, ...output], {
    encoding: 'buffer',
  });
  const found: { type: string; bytes: ArrayBuffer }[] = [];
  for (let at = 0; at + 8 <= stdout.length; at += stdout.readUInt32BE(at)) {
    const bytes = new Uint8Array(stdout.subarray(at, at + stdout.readUInt32BE(at))).buffer;
    found.push({ type: stdout.toString('latin1', at + 4, at + 8), bytes });
  }
  return found;
}

test('the age of a presented picture is that of the fragment it came in', async () => {
  const clock = new FragmentClock();
  let pictures = 0;
  for (const { type, bytes } of await realBoxes()) {
    const before = clock.ageMs(1_000, 0);
    clock.receive(bytes, 10_000 + pictures * 40);
    if (type === 'moof' && clock.ageMs(1_000, 0) !== before) pictures++;
  }
  assert.ok(pictures >= 24, `${pictures} pictures`);
  // The picture that begins at 0.4 s came at 10,400.
  for (const mediaTimeS of [0.4, 0.435, 0.3995]) assert.equal(clock.ageMs(mediaTimeS, 10_650), 250);
  assert.equal(clock.ageMs(-1, 0), null);
});

test('a new init segment begins a new time line', async () => {
  const clock = new FragmentClock();
  const all = await realBoxes();
  for (const { bytes } of all) clock.receive(bytes, 1);
  assert.notEqual(clock.ageMs(0.5, 2), null);
  for (const { type, bytes } of all) if (type === 'moov') clock.receive(bytes, 3);
  assert.equal(clock.ageMs(0.5, 4), null);
});

test('without an init segment, and from damaged bytes, nothing is known and nothing fails', async () => {
  assert.equal(new FragmentClock().ageMs(0, 0), null);
  const all = await realBoxes();
  fc.assert(
    fc.property(fc.nat(all.length - 1), fc.nat(2_000), fc.nat(255), fc.nat(2_000), (which, at, value, cut) => {
      const clock = new FragmentClock();
      for (const { type, bytes } of all) if (type === 'moov') clock.receive(bytes, 0);
      const bytes = new Uint8Array(all[which]?.bytes.slice(0) ?? new ArrayBuffer(0));
      if (at < bytes.length) bytes[at] = value;
      clock.receive(bytes.slice(0, cut).buffer, 1);
      clock.receive(bytes.buffer, 1);
      clock.ageMs(0.5, 2);
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});

test('a time line that begins late, as an edit list says, is presented from 0', () => {
  const clock = new FragmentClock();
  const box = (type: string, ...payload: Buffer[]): Buffer => {
    const body = Buffer.concat(payload);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + body.length);
    head.write(type, 4, 'latin1');
    return Buffer.concat([head, body]);
  };
  const words = (...values: number[]): Buffer => {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
    return bytes;
  };
  const version1 = 0x0100_0000;
  const handler = Buffer.concat([words(0, 0), Buffer.from('vide')]);
  const trak = (edit: Buffer): Buffer =>
    box(
      'trak',
      box('tkhd', words(0, 0, 0, 1)),
      box('edts', box('elst', edit)),
      box('mdia', box('mdhd', words(0, 0, 0, 90_000)), box('hdlr', handler)),
    );
  const fragment = box('moof', box('traf', box('tfhd', words(0, 1)), box('tfdt', words(version1, 0, 46_068_211))));
  const edits = [words(0, 1, 0, 46_068_211, 0x1_0000), words(version1, 1, 0, 0, 0, 46_068_211, 0x1_0000)];
  const withEmpty = words(0, 2, 90, 0xffff_ffff, 0x1_0000, 0, 46_068_211, 0x1_0000);
  for (const edit of [...edits, withEmpty]) {
    clock.receive(new Uint8Array(box('moov', trak(edit))).buffer, 0);
    clock.receive(new Uint8Array(fragment).buffer, 1_000);
    assert.equal(clock.ageMs(0, 1_080), 80);
  }
});
