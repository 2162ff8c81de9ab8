import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createApi } from '../src/api/module.ts';
import { allSections } from '../src/cli/settings.ts';
import { parseInput } from '../src/config/inputs.ts';
import { jsonSchema } from '../src/config/section.ts';
import { ConfigStore } from '../src/config/store.ts';
import { SecretMask } from '../src/core/secrets.ts';
import { LogRing } from '../src/logging/sink.ts';
import { outputs } from '../src/modules.ts';
import { startTestApp } from '../testkit/app.ts';

const numRuns = Math.min(20_000, Number(process.env['FUZZ_RUNS'] ?? 300));
const PATHS = [
  ...['/api', '/api/config', '/api/log', '/api/streams', '/api/streams.dot', '/api/preload', '/api/schemes'],
  ...['/api/schema.json', '/api/ffmpeg', '/api/homekit', '/streams', '/api/onvif', '/api/nothing', '/'],
];
const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ maxLength: 40, unit: 'binary' }),
  fc.constantFrom(
    'front',
    'rtsp://h/x',
    'ffmpeg:front#audio=opus',
    '__proto__',
    `\${HOME}`,
    'a'.repeat(3_000),
    '..',
    '%',
    '\n',
  ),
);
const query = fc.array(
  fc.tuple(fc.constantFrom('src', 'name', 'dst', 'video', 'audio', 'microphone', 'code', 'text', 'id'), text),
  {
    maxLength: 5,
  },
);
const body = fc.oneof(
  fc.constant(''),
  text,
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(
    'streams: {front: [a, b]}\n',
    'api: {listen: []}\n',
    'a: &a [*a]\n',
    '['.repeat(10_000),
    'streams:\n  x: "',
  ),
);

function ask(url: URL, method: string, payload: string | Buffer): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent: false, timeout: 20_000 }, (response) => {
      let answer = '';
      response.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: answer }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer')));
    sent.on('error', reject);
    sent.end(payload);
  });
}

test('whatever is asked over HTTP gets an answer, and the server goes on', { timeout: 600_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'hearthcam-fuzz-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'hearthcam.yaml');
  writeFileSync(file, 'streams:\n  front: rtsp://127.0.0.1:1/x\n');
  const mask = new SecretMask();
  const sections = allSections(outputs);
  const store = new ConfigStore({ inputs: [parseInput(file, dir)], sections, env: {}, mask });
  const refuse = (): void => assert.fail('the fuzzer does not ask for that');
  const api = createApi({
    settings: store,
    ring: new LogRing(),
    control: { restart: refuse, exit: refuse },
    show: (one) => mask.mask(one),
    mask: (one) => mask.mask(one),
    version: '1.9.15',
    ownVersion: '0.1.0',
    rtsp: { listen: ':8554', default_query: 'video&audio', pkt_size: 0 },
    schema: () => jsonSchema(sections),
  });
  await using server = await startTestApp({ streams: { front: ['rtsp://127.0.0.1:1/x'] }, outputs: [api] });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
      fc.constantFrom(...PATHS),
      query,
      body,
      async (method, path, params, payload) => {
        const url = new URL(`${server.url}${path}?${new URLSearchParams(params).toString()}`);
        const { status, text: answer } = await ask(url, method, payload);
        assert.ok(status >= 200 && status < 600, `${status}`);
        // What is wrong with a request is said in a line; an internal error would show up as its name.
        assert.ok(!/TypeError|RangeError|ReferenceError|internal/.test(answer), answer);
        const { status: alive } = await ask(new URL(`${server.url}/api`), 'GET', '');
        assert.equal(alive, 200);
      },
    ),
    { numRuns },
  );
});
