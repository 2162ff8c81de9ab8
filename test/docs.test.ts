import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { generateDocs } from '../scripts/docs.ts';

test('the JSON Schema and the references of configuration, errors and modules say what the code does', async () => {
  for (const [path, wanted] of await generateDocs()) {
    const found = await readFile(path, 'utf8').catch(() => '');
    assert.ok(found === wanted, `docs/${basename(path)} is not current: run node scripts/docs.ts`);
  }
});
