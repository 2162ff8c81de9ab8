import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../testkit/free-port.ts';
import { main, type Terminal } from './main.ts';
import { VERSION } from './version.ts';

const ENTRY = fileURLToPath(new URL('./hearthcam.ts', import.meta.url));

function folder(t: TestContext, files: Record<string, string> = {}): string {
  const path = mkdtempSync(join(tmpdir(), 'hearthcam-cli-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

async function run(cwd: string, ...args: string[]): Promise<{ code: number | undefined; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal: Terminal = {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: { CAM: 'geheim!' },
    cwd,
  };
  const code = await main(args, terminal);
  return { code, out, err };
}

test('-v prints a line that begins with go2rtc, for the WebRTC card', async () => {
  for (const flag of ['-v', '--version', '-version']) {
    const { code, out } = await run('/', flag);
    assert.equal(code, 0);
    assert.match(out, /^go2rtc version 1\.9\.15 \(hearthcam 0\.1\.0\) \w+\/\w+\n$/);
  }
});

test('the version is that of package.json', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  assert.equal(JSON.parse(text).version, VERSION);
});

test('help names every command', async () => {
  for (const args of [['help'], ['--help'], ['serve', '-h']]) {
    const { code, out } = await run('/', ...args);
    assert.equal(code, 0);
    for (const name of ['serve', 'demo', 'check', 'simulate']) assert.ok(out.includes(`  ${name}`), name);
  }
});

const usage = [
  { args: ['chek'], err: 'hearthcam: unknown command "chek" (did you mean check?)\n' },
  {
    args: ['check', 'my.yaml'],
    err: 'hearthcam: unexpected "my.yaml" (to use a configuration file: hearthcam check -c my.yaml)\n',
  },
  {
    args: ['-d'],
    err: 'hearthcam: running in the background (-d) is not supported (use systemd, Docker, or & of the shell)\n',
  },
  { args: ['serve', '--cofnig=x'], err: 'hearthcam: unknown option "--cofnig" (did you mean --config?)\n' },
];
for (const row of usage) {
  test(`"hearthcam ${row.args.join(' ')}" says what to type instead`, async () => {
    const { code, out, err } = await run('/', ...row.args);
    assert.deepEqual({ code, out, err }, { code: 2, out: '', err: row.err });
  });
}

test('check prints every problem with line, column and suggestion, and hides passwords', async (t) => {
  const cwd = folder(t, {
    'hearthcam.yaml': `streems: {}
cameras:
  nursery: {main: rtsp://h/1, sub: rtsp://h/2}
streams:
  nursery_sub: rtsp://h/3
  a: rtps://h/1
  b:
    - \${CAM}://h/x
rtmp: {listen: ":1935"}
`,
  });
  const { code, out } = await run(cwd, 'check');
  assert.equal(code, 1);
  const lines = out.split('\n');
  assert.equal(lines[0], 'hearthcam.yaml:1:1: warning: unknown key "streems" (did you mean "streams"?)');
  assert.match(lines.at(-3) ?? '', /^hearthcam\.yaml:9:8: warning: rtmp\.listen is not supported yet/);
  assert.ok(out.includes('hearthcam.yaml:5:16: warning: stream "nursery_sub" is also made by camera "nursery"'), out);
  assert.match(out, /hearthcam\.yaml:6:6: error: stream "a": .*not supported.*\(did you mean "rtsps?"\?\)/);
  assert.ok(!out.includes('geheim'));
  assert.ok(out.endsWith('2 errors, 3 warnings\n'), out);
});

const checkRows = [
  { text: 'streams: {a: front}', want: '1:14: error: stream "a": there is no stream "front" (the address of a camera' },
  { text: 'streams: {a: "ffmpeg:fron#audio=opus", front: rtsp://h}', want: '(did you mean "front"?)' },
  { text: 'streams: {a: "ffmpeg:device?video=0"}', want: 'ffmpeg: an input of the kind "device?" is not supported' },
  { text: 'streams: {a: "ffmpeg:b#video=h264#width=0", b: rtsp://h}', want: 'stream "a": ffmpeg: #width must be' },
  {
    text: 'ffmpeg: {own: "-c:v libx264 -crf 30"}\nstreams: {a: "ffmpeg:b#video=own", b: rtsp://h}',
    want: "ffmpeg: the template own: -crf can't be done here",
  },
  { text: 'streams: {a: b, b: a}', want: '1:14: error: stream "a": it is fed by itself' },
  {
    text: 'streams: {a: rtmp://h/x}',
    want: '1:14: error: stream "a": sources of the kind "rtmp:" are not supported yet',
  },
  { text: 'streams: {a: "rtsp://u:secr#et@h/x"}', want: 'the password has a # in it (write %23 for #)' },
  { text: 'streams: {a: "rtsp://"}', want: '(it looks like rtsp://192.168.1.20:554/stream1; a login stands before' },
  {
    text: 'streams: {front: rtsp://h}\npreload: {frnt: }',
    want: '2:11: warning: preload: there is no stream "frnt" (did',
  },
  { text: 'api: {listen: 192.168.1.5}', want: '1:15: error: api.listen: "192.168.1.5" is not an address to listen on' },
  { text: 'rtsp: {listen: ":99999"}', want: '1:16: error: rtsp.listen: ":99999" is not an address' },
  { text: 'webrtc: {listen: ":x/tcp"}', want: '1:18: error: webrtc.listen: ":x" is not an address' },
  { text: 'api: {tls_listen: ":1443"}', want: '1:19: warning: HTTPS stays off: api.tls_listen needs api.tls_cert' },
  {
    text: 'api: {tls_listen: ":1443", tls_cert: nope.pem, tls_key: nope.key}',
    want: '1:38: error: api.tls_cert: there is no file "',
  },
  {
    text: 'api: {tls_listen: ":1443", tls_cert: "-----BEGIN x", tls_key: "-----BEGIN y"}',
    want: 'error: api.tls_cert and api.tls_key are not a certificate and its key in PEM form',
  },
];
for (const { text, want } of checkRows) {
  test(`check of "${text}" names the place and what to do`, async (t) => {
    const { out } = await run(folder(t, { 'f.yaml': text }), 'check', '-c', 'f.yaml');
    assert.ok(out.startsWith('f.yaml:1:') || out.startsWith('f.yaml:2:'), out);
    assert.ok(out.includes(want), out);
    assert.ok(!out.includes('secr'), out);
  });
}

test('check of addresses with a protocol, as Home Assistant writes them, finds nothing wrong', async (t) => {
  const text =
    'api: {listen: "", unix_listen: /tmp/x.sock}\nrtsp: {listen: "[::1]:18554"}\nwebrtc: {listen: ":18555/tcp"}\n';
  const { out } = await run(folder(t, { 'f.yaml': text }), 'check', '-c', 'f.yaml');
  assert.equal(out, 'f.yaml: all right\n');
});

test('check --hardware says of each kind what it does or why not', async () => {
  const { code, out } = await run('/', 'check', '--hardware');
  assert.equal(code, 0);
  const [head, ...lines] = out.split('\n');
  assert.match(head ?? '', /^Hardware +Setting +Device +Decodes +Codes$/);
  for (const setting of ['cuda', 'vaapi', 'qsv', 'rkmpp', 'v4l2m2m']) {
    assert.ok(
      lines.some((line) => new RegExp(`\\S +${setting} +\\S`).test(line)),
      setting,
    );
  }
  assert.match(out, /\n(Pictures are decoded and coded by the processor\.|Used by default: .*)\n$/);
});

test('check of a right file says so; of none, what to do', async (t) => {
  const cwd = folder(t, { 'go2rtc.yaml': 'streams:\n  a: rtsp://h/1\n' });
  assert.deepEqual(await run(cwd, 'check'), { code: 0, out: 'go2rtc.yaml: all right\n', err: '' });
  assert.equal((await run(folder(t), 'check')).code, 1);
  const missing = await run(cwd, 'check', '-c', 'nowhere.yaml');
  assert.deepEqual([missing.code, missing.out.split('\n')[0]], [1, 'nowhere.yaml: error: there is no such file']);
  const broken = await run(cwd, 'check', '-c', 'log.level=loud');
  assert.match(broken.out, /^command line:1:17: error: log\.level must be one of trace/);
});

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
  text(): string;
}

/** Starts the program as its own process and waits for the line that Home Assistant waits for. */
async function serve(t: TestContext, cwd: string, args: (ports: number[]) => string[]): Promise<Running> {
  const ports = [await freePort(), await freePort(), await freePort()];
  const child = spawn(process.execPath, [ENTRY, ...args(ports)], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await until(
    () => / INF \[api\] listen addr=/.test(text) || child.exitCode !== null,
    () => text,
  );
  assert.equal(child.exitCode, null, text);
  return { child, port: ports[0] ?? 0, text: () => text };
}

async function until(check: () => boolean, describe: () => string): Promise<void> {
  const end = performance.now() + 30_000;
  while (!check()) {
    if (performance.now() > end) assert.fail(describe());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const off = ([api, rtsp, webrtc]: number[]): string =>
  `{api: {listen: "127.0.0.1:${api}"}, rtsp: {listen: "127.0.0.1:${rtsp}"}, webrtc: {listen: "127.0.0.1:${webrtc}"}, log: {format: text}}`;

async function stopped(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

test('a server applies an edit of its file, and ends in order within 3 s of SIGTERM', async (t) => {
  const cwd = folder(t, { 'hearthcam.yaml': 'streams:\n  a: rtsp://127.0.0.1:1/x\n' });
  const server = await serve(t, cwd, (ports) => ['serve', '-c', 'hearthcam.yaml', '-config', off(ports)]);
  writeFileSync(join(cwd, 'hearthcam.yaml'), 'streams:\n  b: rtsp://127.0.0.1:1/y\n');
  const names = async (): Promise<string[]> =>
    Object.keys(JSON.parse(await (await fetch(`http://127.0.0.1:${server.port}/api/streams`)).text()));
  const end = performance.now() + 20_000;
  while ((await names()).join() !== 'b') assert.ok(performance.now() < end, server.text());
  // Somebody is connected: that must not delay the end.
  const held = new AbortController();
  const request = fetch(`http://127.0.0.1:${server.port}/api/streams?src=b&video`, { signal: held.signal }).catch(
    () => {},
  );
  const startedMs = performance.now();
  server.child.kill('SIGTERM');
  assert.equal(await stopped(server.child), 0);
  assert.ok(performance.now() - startedMs < 3_000);
  held.abort();
  await request;
  assert.match(server.text(), /INF SIGTERM: stopping/);
});

test('an edit of what is read at the start only is named in the log', async (t) => {
  const cwd = folder(t, { 'hearthcam.yaml': 'streams: {}\n' });
  const server = await serve(t, cwd, (ports) => ['-c', 'hearthcam.yaml', '-c', off(ports)]);
  writeFileSync(join(cwd, 'hearthcam.yaml'), 'restream: {linger_seconds: 9}\napi: {origin: "*"}\n');
  await until(() => server.text().includes('from the next start on: api, restream'), server.text);
});

test('an edit of what is made for viewers is taken over without a new start', async (t) => {
  const cwd = folder(t, { 'hearthcam.yaml': 'streams: {a: rtsp://127.0.0.1:1/x}\n' });
  const server = await serve(t, cwd, (ports) => ['-c', 'hearthcam.yaml', '-c', off(ports)]);
  writeFileSync(join(cwd, 'hearthcam.yaml'), 'streams: {a: {url: rtsp://127.0.0.1:1/x, renditions: [360p]}}\n');
  const text = 'what is made for viewers has changed';
  await until(() => server.text().split(text).length === 2, server.text);
  writeFileSync(
    join(cwd, 'hearthcam.yaml'),
    'transcode: auto\nstreams: {a: {url: rtsp://127.0.0.1:1/x, renditions: [360p]}}\n',
  );
  await until(() => server.text().split(text).length === 3, server.text);
  assert.ok(!server.text().includes('from the next start on'), server.text());
});

test('a go2rtc file without addresses starts on this machine only, and the log says what to write', async (t) => {
  const text = 'rtsp: {listen: ""}\nstreams: {a: rtsp://192.0.2.1/x}\n';
  const running = await serve(t, folder(t, { 'f.yaml': text }), ([api]) => [
    ...['-c', 'f.yaml', '-c', `api.listen=127.0.0.1:${api}`, '-c', 'webrtc.ice_servers=[]'],
  ]);
  assert.match(
    running.text(),
    /INF \[config\] webrtc: only for programs on this machine.* write webrtc: \{listen: ":8555"\}/,
  );
});

test('a port that is taken ends the start and says which and what to change', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  t.after(() => holder.close());
  const address = holder.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const child = spawn(process.execPath, [ENTRY, '-c', off([port, await freePort(), await freePort()])], {
    cwd: folder(t),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  assert.equal(await stopped(child), 1);
  assert.match(
    text,
    new RegExp(`^hearthcam: api: can't listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE.*change api\\.listen`),
  );
});

test('POST /api/restart starts anew in the same process; /api/exit ends with the code', async (t) => {
  const server = await serve(t, folder(t), (ports) => ['-c', off(ports)]);
  const url = `http://127.0.0.1:${server.port}`;
  assert.equal((await fetch(`${url}/api/restart`, { method: 'POST' })).status, 200);
  await until(() => server.text().split('INF [api] listen addr=').length === 3, server.text);
  assert.equal(server.child.exitCode, null);
  assert.equal((await fetch(`${url}/api/exit?code=7`, { method: 'POST' })).status, 200);
  assert.equal(await stopped(server.child), 7);
});

test('without a configuration the demo runs and prints links that work', async (t) => {
  const server = await serve(t, folder(t), (ports) => ['demo', '-c', off(ports)]);
  await until(() => server.text().includes('Ctrl-C stops'), server.text);
  const links = server.text().match(/http:\/\/[^\s]+/g) ?? [];
  assert.equal(links.length, 4);
  const streams = await (await fetch(`http://127.0.0.1:${server.port}/api/streams`)).text();
  assert.deepEqual(Object.keys(JSON.parse(streams)), ['nursery', 'nursery_sub', 'garden', 'garden_sub']);
  server.child.kill('SIGINT');
  assert.equal(await stopped(server.child), 130);
});

test('a configuration that can not be used ends the start with line and column', async (t) => {
  const cwd = folder(t, { 'hearthcam.yaml': 'log:\n  level: inof\n' });
  const child = spawn(process.execPath, [ENTRY], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  assert.equal(await stopped(child), 1);
  assert.match(text, /^hearthcam: hearthcam\.yaml:2:10: error: log\.level .*did you mean "info"\?/);
});
