import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec } from '../../core/source.ts';
import { splitCommand } from './command.ts';
import { parseExecSpec } from './spec.ts';

const rows: readonly (readonly [string, readonly string[]])[] = [
  ['ffmpeg -i /dev/video0 -f mpegts -', ['ffmpeg', '-i', '/dev/video0', '-f', 'mpegts', '-']],
  ['  spaced \t out\n', ['spaced', 'out']],
  ['a "b c" d', ['a', 'b c', 'd']],
  ["a 'b \"c' d", ['a', 'b "c', 'd']],
  ['a "b \\" \\\\ \\n c"', ['a', 'b " \\ \\n c']],
  ['a b\\ c', ['a', 'b c']],
  ['a x"y z"w', ['a', 'xy zw']],
  ['a "" \'\'', ['a', '', '']],
  ['ffmpeg -i http://cam/flv?a=1&b=2;c -f flv -', ['ffmpeg', '-i', 'http://cam/flv?a=1&b=2;c', '-f', 'flv', '-']],
  ['ffmpeg -i rtsp://u:pa$word@cam/1', ['ffmpeg', '-i', 'rtsp://u:pa$word@cam/1']],
  ['ffmpeg -vf "select=\'gt(scene,0.4)\'"', ['ffmpeg', '-vf', "select='gt(scene,0.4)'"]],
  ['a "|" \\> \'$(x)\'', ['a', '|', '>', '$(x)']],
  ['a *.mp4 ~/x', ['a', '*.mp4', '~/x']],
];
for (const [text, words] of rows) {
  test(`the command ${JSON.stringify(text)} has the words of a shell`, () =>
    assert.deepEqual(splitCommand(text), words));
}

const refused: readonly (readonly [string, string])[] = [
  ['cat /x | ffmpeg -i -', 'program.shell'],
  ['a || b', 'program.shell'],
  ['a && b', 'program.shell'],
  ['a ; b', 'program.shell'],
  ['a &', 'program.shell'],
  ['a > /tmp/x', 'program.shell'],
  ['a >/tmp/x', 'program.shell'],
  ['a 2>/dev/null', 'program.shell'],
  ['a 2>&1', 'program.shell'],
  ['a < /tmp/x', 'program.shell'],
  ['a $(date)', 'program.shell'],
  ['a "x$(date)"', 'program.shell'],
  ['a `date`', 'program.shell'],
  ['a "b', 'program.command'],
  ["a 'b", 'program.command'],
  ['a b\\', 'program.command'],
  ['', 'program.command'],
  ['  ', 'program.command'],
  ['"" a', 'program.command'],
];
for (const [text, code] of refused) {
  test(`the command ${JSON.stringify(text)} is refused with the reason`, () => {
    assert.throws(() => splitCommand(text), { code, status: 400 });
  });
}

test('any text is split as sh splits it, or refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab \'"\\\t-='.split('')), maxLength: 24 }), (text) => {
      let words: readonly string[];
      try {
        words = splitCommand(`x ${text}`);
      } catch (error) {
        assert.ok(error instanceof HearthcamError && error.status === 400);
        return;
      }
      const script = `for word in ${words.length > 1 ? `${text}\n` : "''\n"} do printf '%s\\000' "$word"; done`;
      const said = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
      assert.deepEqual(words.length > 1 ? words.slice(1) : [''], said);
    }),
    { numRuns: Math.min(150, Number(process.env['FUZZ_RUNS'] ?? 150)) },
  );
});

test('any text at all is split or refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        assert.ok(splitCommand(text).length > 0);
      } catch (error) {
        assert.ok(error instanceof HearthcamError && error.status === 400);
      }
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});

test('what go2rtc lets one say about a program is understood', () => {
  const plain = parseExecSpec(parseSourceSpec('exec:a b'));
  assert.deepEqual(
    [plain.words, plain.publishes, plain.killSignal, plain.killTimeoutMs, plain.startTimeoutMs],
    [['a', 'b'], false, 'SIGTERM', 2_000, 30_000],
  );
  const full = parseExecSpec(parseSourceSpec('exec:a {output}#killsignal=2#killtimeout=7#starttimeout=0.5#x=1'));
  assert.deepEqual(
    [full.publishes, full.killSignal, full.killTimeoutMs, full.startTimeoutMs, full.unknown],
    [true, 'SIGINT', 7_000, 500, ['x']],
  );
  assert.equal(parseExecSpec(parseSourceSpec('EXEC:a#killsignal=sigusr1')).killSignal, 'SIGUSR1');
});

for (const [text, code] of [
  ['exec:', 'program.command'],
  ['exec:a#killsignal=99', 'exec.signal'],
  ['exec:a#killsignal=SIGNOTHING', 'exec.signal'],
  ['exec:a#killtimeout=-1', 'exec.timeout'],
  ['exec:a#starttimeout=soon', 'exec.timeout'],
  ['exec:a#starttimeout=', 'exec.timeout'],
  ['exec:a#backchannel=1', 'exec.talk'],
  ['exec:a#audio=s16le/16000', 'exec.talk'],
] as const) {
  test(`${text} is refused with the reason`, () => {
    assert.throws(() => parseExecSpec(parseSourceSpec(text)), { code, status: 400 });
  });
}
