import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { errorSites } from '../scripts/docs/error-sites.ts';
import { generateDocs } from '../scripts/docs.ts';

test('the JSON Schema and the references of configuration, errors and modules say what the code does', async () => {
  for (const [path, wanted] of await generateDocs()) {
    const found = await readFile(path, 'utf8').catch(() => '');
    assert.ok(found === wanted, `docs/${basename(path)} is not current: run node scripts/docs.ts`);
  }
});

test('the reference of errors keeps to its code what belongs to it, and shows what depends on the case', () => {
  const sites = errorSites(
    'x.ts',
    `
    const LIMIT = 20;
    function hintFor(status: number) { if (status === 401) return 'check the password'; return undefined; }
    export function fail(known: boolean, stream: { name: string }, sizeBytes: number) {
      const hint = hintFor(401);
      throw new HearthcamError(
        known ? 'x.large' : 'x.unknown',
        known ? \`"\${stream.name}" has \${sizeBytes} bytes, at most \${LIMIT}\` : 'nothing is known',
        { status: known ? 413 : 404, ...(hint === undefined ? {} : { hint }) },
      );
    }
    class Cut extends WireError { constructor() { super('x.cut', 'it is cut off', 0); } }
    `,
  );
  const hints = ['check the password'];
  assert.deepEqual(sites, [
    {
      code: 'x.large',
      wire: false,
      messages: ['"‹name›" has ‹size bytes› bytes, at most 20'],
      statuses: ['413'],
      hints,
    },
    { code: 'x.unknown', wire: false, messages: ['nothing is known'], statuses: ['404'], hints },
    { code: 'x.cut', wire: true, messages: ['it is cut off'], statuses: ['400'], hints: [] },
  ]);
});
