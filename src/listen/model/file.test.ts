import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { shared } from '../../../testkit/shared.ts';
import { quietLog } from '../../cli/log.ts';
import { checkModel, ensureModel, type ModelSource, YAMNET } from './file.ts';
import { readLabels } from './labels.ts';

const REAL = shared('models/yamnet.tflite');
const real = await readFile(REAL);

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** A server on loopback, an empty directory, and a source that leads to the server. */
async function setUp(answer: Answer) {
  const directory = await mkdtemp(join(tmpdir(), 'hearthcam-model-'));
  let count = 0;
  const server = createServer((request, response) => answer(request, response, ++count));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const source: ModelSource = { ...YAMNET, urls: [`http://127.0.0.1:${port}/yamnet.tflite`] };
  return {
    directory,
    source,
    requests: () => count,
    options: { directory, source, log: quietLog, idleMs: 5_000 },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function serveFrom(request: IncomingMessage, response: ServerResponse, file: Buffer): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from > 0) response.writeHead(206, { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` });
  response.end(file.subarray(from));
}

test('the model is downloaded once, with progress, and found from then on', async () => {
  await using t = await setUp((request, response) => serveFrom(request, response, real));
  const seen: number[] = [];
  const path = await ensureModel({ ...t.options, onProgress: ({ bytes }) => seen.push(bytes) });
  assert.equal(
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
    YAMNET.sha256,
  );
  assert.equal(seen.at(-1), YAMNET.bytes);
  assert.deepEqual(await readdir(t.directory), ['yamnet.tflite']);
  await ensureModel(t.options);
  assert.equal(t.requests(), 1);
});

test('a download that breaks off is continued where it ended', async () => {
  const ranges: (string | undefined)[] = [];
  await using t = await setUp((request, response, count) => {
    ranges.push(request.headers.range);
    if (count > 1) return serveFrom(request, response, real);
    response.writeHead(200, { 'content-length': real.length });
    response.write(real.subarray(0, 1_000_000), () => response.destroy());
  });
  await ensureModel(t.options);
  assert.equal(ranges.length, 2);
  assert.match(ranges[1] ?? '', /^bytes=\d+-$/);
});

test('what an earlier run left is continued', async () => {
  const ranges: (string | undefined)[] = [];
  await using t = await setUp((request, response) => {
    ranges.push(request.headers.range);
    serveFrom(request, response, real);
  });
  await writeFile(join(t.directory, 'yamnet.tflite.part'), real.subarray(0, 3_000_000));
  await ensureModel(t.options);
  assert.deepEqual(ranges, ['bytes=3000000-']);
});

test('a server that can not continue gives the file from its beginning', async () => {
  await using t = await setUp((_, response) => response.end(real));
  await writeFile(join(t.directory, 'yamnet.tflite.part'), Buffer.alloc(1_000, 7));
  await checkModel(await ensureModel(t.options));
});

const wrong: readonly (readonly [string, Answer, RegExp])[] = [
  ['that is missing', (_, response) => response.writeHead(404).end(), /answers 404/],
  ['with another content', (_, response) => response.end(Buffer.alloc(YAMNET.bytes, 1)), /SHA-256 is/],
  ['that is too long', (_, response) => response.end(Buffer.alloc(YAMNET.bytes + 9, 1)), /more than/],
  ['that always ends too early', (_, response) => response.end(real.subarray(0, 500)), /ended after 500 of/],
];
for (const [what, answer, message] of wrong) {
  test(`a file ${what} is refused, and why is said`, async () => {
    await using t = await setUp(answer);
    await assert.rejects(ensureModel(t.options), { code: 'listen.download', message });
    assert.ok(!(await readdir(t.directory)).includes('yamnet.tflite'));
  });
}

test("a truncated or other file in the owner's folder is refused and left alone", async () => {
  await using t = await setUp((request, response) => serveFrom(request, response, real));
  const path = join(t.directory, 'yamnet.tflite');
  await writeFile(path, real.subarray(0, 1_000_000));
  await assert.rejects(ensureModel(t.options), { code: 'listen.model', message: /1000000 bytes, expected 4126810/ });
  assert.equal((await readFile(path)).length, 1_000_000);
  assert.equal(t.requests(), 0);
});

test('the second address is asked when the first has no such file', async () => {
  await using t = await setUp((request, response, count) => {
    if (count === 1) response.writeHead(404).end();
    else serveFrom(request, response, real);
  });
  const urls = [...t.source.urls, ...t.source.urls];
  await ensureModel({ ...t.options, source: { ...t.source, urls } });
  assert.equal(t.requests(), 2);
});

test('the names of the classes come from the ZIP in the model file', () => {
  const labels = readLabels(real);
  assert.equal(labels.length, 521);
  assert.equal(labels[20], 'Baby cry, infant cry');
  assert.throws(() => readLabels(real.subarray(0, 3_000_000)), { code: 'listen.model' });
  assert.throws(() => readLabels(Buffer.alloc(10)), { code: 'listen.model' });
});
