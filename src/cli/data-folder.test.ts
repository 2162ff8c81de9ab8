import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseInput } from '../config/inputs.ts';
import { loadConfig } from '../config/load.ts';
import { makeDataFolder } from '../core/data-folder.ts';
import { HearthcamError } from '../core/errors.ts';
import { outputs } from '../modules.ts';
import { dataFolder, modelsFolder } from './data-folder.ts';
import { allSections } from './settings.ts';

const configOf = (yaml: string) =>
  loadConfig({
    inputs: [parseInput('f', '/')],
    sections: allSections(outputs),
    references: { env: {}, credentialsDirectory: undefined, readFile: () => '' },
    readFile: () => yaml,
  });

test('what must last is kept where the owner says, else where systemd says, else beside the configuration', () => {
  const state = { STATE_DIRECTORY: '/var/lib/hearthcam:/var/lib/other' };
  const rows: readonly [
    yaml: string,
    env: Record<string, string>,
    path: string | undefined,
    expected: string | null,
  ][] = [
    ['data: {dir: /srv/cam}', state, '/etc/h.yaml', '/srv/cam'],
    ['data: {dir: cam}', {}, undefined, '/cwd/cam'],
    ['', state, '/etc/h.yaml', '/var/lib/hearthcam'],
    ['', { STATE_DIRECTORY: 'not/absolute' }, '/etc/h.yaml', '/etc/hearthcam-data'],
    ['data:', {}, 'sub/h.yaml', '/cwd/sub/hearthcam-data'],
    ['', {}, undefined, null],
  ];
  for (const [yaml, env, path, expected] of rows) {
    const config = configOf(yaml);
    assert.equal(dataFolder(config, { cwd: '/cwd', env }, path), expected, yaml);
    assert.equal(modelsFolder(config, { cwd: '/cwd', env }, path), expected === null ? null : `${expected}/models`);
  }
});

test("a module's folder is made when it is wanted, for its owner alone, and a reason is given where that fails", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hearthcam-data-'));
  try {
    const made = await makeDataFolder(join(directory, 'hearthcam-data'), 'mqtt');
    assert.equal(await makeDataFolder(join(directory, 'hearthcam-data'), 'mqtt'), made);
    for (const path of [made, join(directory, 'hearthcam-data')]) assert.equal((await stat(path)).mode & 0o777, 0o700);
    await writeFile(join(directory, 'file'), '');
    await assert.rejects(makeDataFolder(join(directory, 'file'), 'mqtt'), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.match(error.message, /the folder ".*\/file\/mqtt" can't be made/);
      return true;
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});
