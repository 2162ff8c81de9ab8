import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { HearthcamError } from '../core/errors.ts';
import { deleteEntry, mergeText, setEntry } from './edit.ts';
import { loadConfig } from './load.ts';
import { formatProblem } from './problems.ts';
import { type ConfigSection, composeSections } from './section.ts';
import { coreSections, laterSections } from './sections.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);
const sections: readonly ConfigSection[] = composeSections([...coreSections], laterSections);

const SEED = `# seed
api: {listen: ":1984", allow_paths: [/a, "/b"]}
streams: # here
  a: rtsp://u:\${PW:x y}@h/1   # tail
  b:
    # before
    - rtsp://h/1
    - 'ffmpeg:b#audio=opus'
  c: {url: &u rtsp://h/3}
  d:
  e: *u
  f: >-
    rtsp://h
    /folded
  "g h": [x, y,
    z]
preload: {<<: {a: video}, b: }
log:
    level: debug
`;
const PIECES = [
  'a',
  ':',
  ' ',
  '\n',
  '- ',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '#',
  '&x',
  '*x',
  `\${A}`,
  '${',
  '|',
  '>',
  '\t',
  '!!',
  '---',
  '<<',
  ', ',
  '\u0000',
  'é',
  '\uE000\uE100\uE101\uF8FF',
  '\r\n',
  '?',
  '%',
  '@',
  '`',
];

const anyText = fc.oneof(
  fc.string({ maxLength: 200, unit: 'binary' }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }).map((parts) => parts.join('')),
  fc
    .tuple(fc.nat(SEED.length), fc.nat(30), fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }))
    .map(([at, cut, parts]) => SEED.slice(0, at) + parts.join('') + SEED.slice(at + cut)),
);

test('any text is a configuration or gives problems; nothing is thrown and nothing hangs', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const started = performance.now();
      const config = loadConfig({
        inputs: [{ kind: 'file', path: 'f', label: 'f' }],
        sections,
        references: {
          env: { A: 'from env' },
          credentialsDirectory: undefined,
          readFile: () => {
            throw new Error('none');
          },
        },
        readFile: () => text,
      });
      for (const problem of config.problems) assert.ok(formatProblem(problem).length < 5_000);
      for (const section of sections) config.get(section);
      assert.ok(performance.now() - started < 5_000);
    }),
    { numRuns },
  );
});

test('a change to any file gives exactly that change, or a reason', () => {
  fc.assert(
    fc.property(
      anyText,
      fc.oneof(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g h', 'new', '__proto__', 'null', '1'), fc.string()),
      fc.array(fc.oneof(fc.webUrl(), fc.string(), fc.constant('rtsp://h/1')), { maxLength: 4 }),
      fc.constantFrom('set', 'delete', 'merge'),
      (text, name, sources, kind) => {
        try {
          if (kind === 'set') setEntry(text, 'streams', name, sources);
          else if (kind === 'delete') deleteEntry(text, 'streams', name);
          else mergeText(text, JSON.stringify({ streams: { [name]: sources } }));
        } catch (error) {
          if (!(error instanceof HearthcamError)) throw error;
        }
      },
    ),
    { numRuns },
  );
});

test('in a usual file, every stream name and source survives the way through the file', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 }),
      (name, sources) => {
        // A reference is not plain text: the API refuses it.
        // `c` holds an anchor that others refer to.
        fc.pre(!['__proto__', 'c'].includes(name) && ![name, ...sources].some((one) => one.includes('${')));
        const edited = setEntry(SEED, 'streams', name, sources);
        const value = parse(edited, { merge: true });
        assert.deepEqual(value.streams[name], sources);
        assert.ok(edited.includes('# before') || name === 'b');
      },
    ),
    { numRuns },
  );
});
