import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { hevcFlv } from '../../../testkit/hevc-flv.ts';
import { collect, makeTestHub } from '../../../testkit/hub.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { HearthcamError } from '../../core/errors.ts';
import { isVideo } from '../../core/media.ts';
import { parseSourceSpec } from '../../core/source.ts';
import { httpSource, makeHttpSource } from './source.ts';

const run = promisify(execFile);

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A camera's web server on loopback. */
async function serve(
  handlers: Readonly<Record<string, Handler>>,
): Promise<AsyncDisposable & { url: string; host: string }> {
  const server = http.createServer((request, response) => {
    const handler = handlers[(request.url ?? '/').split('?')[0] ?? '/'];
    if (handler === undefined) response.writeHead(404).end('nothing here');
    else handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const host = `127.0.0.1:${address.port}`;
  return {
    url: `http://${host}`,
    host,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends the bytes in small pieces, as fast as a camera would be in a hurry, and leaves the connection open. */
function trickle(bytes: Buffer, type: string, step = 3_000): Handler {
  return (_request, response) => {
    response.writeHead(200, type === '' ? {} : { 'content-type': type });
    let at = 0;
    const timer = setInterval(() => {
      if (at < bytes.length) response.write(bytes.subarray(at, at + step));
      else clearInterval(timer);
      at += step;
    }, 5);
    response.on('close', () => clearInterval(timer));
  };
}

describe('an HTTP camera', { timeout: 120_000 }, () => {
  let folder = '';
  const files = new Map<string, Buffer>();
  const file = (name: string): Buffer => files.get(name) ?? assert.fail(name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hc-http-'));
    const input = ['-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=25:d=3', '-f', 'lavfi', '-i', 'sine=r=16000:d=3'];
    const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-pix_fmt', 'yuv420p'];
    const aac = ['-c:a', 'aac', '-ac', '1'];
    const out = (name: string): string => join(folder, name);
    const made = [
      'a.flv',
      'a.ts',
      'a.mp4',
      'latm.ts',
      'a.mjpeg',
      'a.h264',
      'a.hevc',
      'a.aac',
      'a.wav',
      'a.jpg',
      'a.mp3',
    ];
    await run('ffmpeg', [
      ...['-v', 'error', ...input],
      ...[...h264, ...aac, out('a.flv')],
      ...[...h264, ...aac, out('a.ts')],
      ...[...h264, ...aac, '-movflags', 'frag_keyframe+empty_moov+default_base_moof', out('a.mp4')],
      ...['-map', '0:v', '-map', '1:a', ...h264, ...aac, '-mpegts_flags', 'latm', out('latm.ts')],
      ...['-map', '0:v', '-c:v', 'mjpeg', '-f', 'mpjpeg', out('a.mjpeg')],
      ...['-map', '0:v', ...h264, '-f', 'h264', out('a.h264')],
      ...[
        '-map',
        '0:v',
        '-c:v',
        'libx265',
        '-preset',
        'ultrafast',
        '-x265-params',
        'log-level=none:keyint=25',
        '-pix_fmt',
        'yuv420p',
        '-f',
        'hevc',
        out('a.hevc'),
      ],
      ...['-map', '1:a', ...aac, '-f', 'adts', out('a.aac')],
      ...['-map', '1:a', '-c:a', 'pcm_alaw', '-ar', '8000', '-f', 'wav', out('a.wav')],
      ...['-map', '1:a', '-c:a', 'libmp3lame', '-id3v2_version', '0', '-write_xing', '0', out('a.mp3')],
      ...['-map', '0:v', '-frames:v', '1', '-update', '1', out('a.jpg')],
    ]);
    for (const name of made) files.set(name, await readFile(out(name)));
  });
  after(() => rm(folder, { recursive: true }));

  const rows = [
    { name: 'FLV', file: 'a.flv', type: 'video/x-flv', format: 'flv', video: 'h264', audio: 'aac' },
    { name: 'FLV without a content type', file: 'a.flv', type: '', format: 'flv', video: 'h264', audio: 'aac' },
    { name: 'MPEG-TS', file: 'a.ts', type: 'video/mp2t', format: 'mpegts', video: 'h264', audio: 'aac' },
    { name: 'MPEG-TS with AAC in LATM', file: 'latm.ts', type: '', format: 'mpegts', video: 'h264', audio: 'aac' },
    { name: 'fragmented MP4', file: 'a.mp4', type: 'video/mp4', format: 'mp4', video: 'h264', audio: 'aac' },
    {
      name: 'MJPEG',
      file: 'a.mjpeg',
      type: 'multipart/x-mixed-replace;boundary=ffmpeg',
      format: 'mjpeg',
      video: 'jpeg',
      audio: null,
    },
    { name: 'MJPEG that says nothing', file: 'a.mjpeg', type: '', format: 'mjpeg', video: 'jpeg', audio: null },
    {
      name: 'bare H.264',
      file: 'a.h264',
      type: 'application/octet-stream',
      format: 'h264',
      video: 'h264',
      audio: null,
    },
    { name: 'bare H.265', file: 'a.hevc', type: '', format: 'hevc', video: 'h265', audio: null },
    { name: 'AAC', file: 'a.aac', type: 'audio/aac', format: 'adts', video: null, audio: 'aac' },
    { name: 'MP3', file: 'a.mp3', type: 'audio/mpeg', format: 'mp3', video: null, audio: 'mp3' },
    { name: 'WAV of A-law', file: 'a.wav', type: 'audio/wav', format: 'wav', video: null, audio: 'pcma' },
  ] as const;
  for (const row of rows) {
    test(`gives ${row.name}`, async () => {
      await using camera = await serve({ '/live': trickle(file(row.file), row.type) });
      await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${camera.url}/live`] } });
      using viewer = await collect(test.hub.require('cam'));
      assert.deepEqual(
        viewer.consumer.tracks.map((track) => track.codec),
        [row.video, row.audio].filter((codec) => codec !== null),
      );
      assert.equal(test.hub.require('cam').producers[0]?.description?.formatName, row.format);
      if (row.video !== null) {
        const units = await viewer.wait('video', 40);
        const first = units[0];
        assert.ok(first !== undefined && isVideo(first.format));
        assert.equal(first.key, true);
        assert.deepEqual([first.format.width, first.format.height], [320, 240]);
        if (['flv', 'mpegts', 'mp4'].includes(row.format)) {
          const steps = units.slice(1).map((unit, index) => unit.pts - (units[index]?.pts ?? 0));
          // ffmpeg stretches the first picture of an MP4 over the priming of the audio.
          assert.ok(
            steps.slice(1).every((step) => step === 3600),
            `${steps}`,
          );
        }
      }
      if (row.audio !== null) {
        const units = await viewer.wait('audio', 20);
        const samples = row.audio === 'aac' ? 1024 : row.audio === 'mp3' ? 576 : 160;
        const steps = units.slice(1).map((unit, index) => unit.pts - (units[index]?.pts ?? 0));
        // Sound from before the first picture is squeezed together at the beginning of the stream's time.
        assert.ok(
          steps.slice(2).every((step) => step === samples),
          `${steps}`,
        );
      }
      assert.deepEqual(test.log.find('warn', /./), []);
    });
  }

  for (const form of ['codec 12', 'enhanced'] as const) {
    test(`gives H.265 in FLV as Reolink does it: ${form}`, async () => {
      const bytes = hevcFlv(file('a.hevc'), form);
      await using camera = await serve({ '/flv': trickle(bytes, 'video/x-flv', 20_000) });
      await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${camera.url}/flv?channel=0`] } });
      using viewer = await collect(test.hub.require('cam'));
      const units = await viewer.wait('video', 40);
      const format = units[0]?.format;
      assert.ok(format !== undefined && isVideo(format));
      assert.equal(format.codec, 'h265');
      assert.deepEqual([format.width, format.height], [320, 240]);
    });
  }

  test('a still that is asked for again and again becomes a video', async () => {
    let asked = 0;
    await using camera = await serve({
      '/snap.jpg': (request, response) => {
        asked++;
        assert.equal(request.headers['x-key'], 'a b');
        response.writeHead(200, { 'content-type': 'image/jpeg' }).end(file('a.jpg'));
      },
    });
    const source = `${camera.url}/snap.jpg#header=X-Key: a b`;
    await using test = makeTestHub({ sources: [httpSource], streams: { cam: [source] } });
    using viewer = await collect(test.hub.require('cam'));
    const startMs = performance.now();
    await viewer.wait('video', 5);
    assert.ok(performance.now() - startMs > 250, 'not faster than 10 a second');
    assert.ok(asked >= 5);
  });

  test('a file on a web server plays at its own speed', async () => {
    await using camera = await serve({
      '/a.ts': (_request, response) => {
        const bytes = file('a.ts');
        response.writeHead(200, { 'content-type': 'video/mp2t', 'content-length': bytes.length }).end(bytes);
      },
    });
    await using test = makeTestHub({ sources: [httpSource], streams: { cam: [`${camera.url}/a.ts`] } });
    using viewer = await collect(test.hub.require('cam'));
    const startMs = performance.now();
    await viewer.wait('video', 40);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs > 1_000, `40 pictures of 25 a second took ${tookMs} ms`);
  });

  test('digest and basic logins are answered, a redirect is followed, a password stays with its host', async () => {
    const seen: (string | undefined)[] = [];
    await using other = await serve({
      '/flv': (request, response) => {
        seen.push(request.headers.authorization);
        trickle(file('a.flv'), 'video/x-flv')(request, response);
      },
    });
    const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
    await using camera = await serve({
      '/digest': (request, response) => {
        const given = request.headers.authorization ?? '';
        const field = (name: string): string => new RegExp(`${name}="?([^",]*)`).exec(given)?.[1] ?? '';
        const ha1 = md5('admin:cam:p@ss');
        const ha2 = md5('GET:/digest?x=1');
        const want = md5(`${ha1}:n1:${field('nc')}:${field('cnonce')}:auth:${ha2}`);
        if (given.startsWith('Digest ') && field('response') === want) {
          response.writeHead(302, { location: `${other.url}/flv` }).end();
        } else {
          response.writeHead(401, { 'www-authenticate': 'Digest realm="cam", nonce="n1", qop="auth"' }).end();
        }
      },
      '/basic': (request, response) => {
        if (request.headers.authorization === `Basic ${Buffer.from('admin:p@ss').toString('base64')}`) {
          response.writeHead(307, { location: '/flv' }).end();
        } else response.writeHead(401, { 'www-authenticate': 'Basic realm="cam"' }).end();
      },
      '/flv': trickle(file('a.flv'), ''),
    });
    const login = `http://admin:p%40ss@${camera.host}`;
    await using test = makeTestHub({
      sources: [httpSource],
      streams: { digest: [`${login}/digest?x=1`], basic: [`${login}/basic`] },
    });
    for (const name of ['digest', 'basic']) {
      using viewer = await collect(test.hub.require(name));
      await viewer.wait('video', 3);
    }
    assert.deepEqual(seen, [undefined]);
  });

  const failures: { name: string; path: string; handler?: Handler; want: RegExp }[] = [
    { name: 'a path that does not exist', path: '/none', want: /does not exist \(404\).*check the path/ },
    {
      name: 'a login that is missing',
      path: '/x',
      handler: (_request, response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
      want: /refused us \(401\).*put user and password/,
    },
    {
      name: 'a web page',
      path: '/x',
      handler: (_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      want: /web page instead of video/,
    },
    {
      name: 'a web page under another name',
      path: '/x',
      handler: (_request, response) =>
        response.writeHead(200, { 'content-type': 'video/mp4' }).end('<!DOCTYPE html><html></html>'),
      want: /web page instead of video/,
    },
    {
      name: 'something else',
      path: '/x',
      handler: (_request, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"error": 5}'),
      want: /content type "application\/json".*no video that we know/,
    },
    {
      name: 'a redirect in a circle',
      path: '/x',
      handler: (_request, response) => response.writeHead(302, { location: '/x' }).end(),
      want: /redirects in a circle/,
    },
    {
      name: 'a redirect to a file',
      path: '/x',
      handler: (_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      want: /not http or https/,
    },
    {
      name: 'no answer at all',
      path: '/x#timeout=0.3',
      handler: () => {},
      want: /did not answer/,
    },
  ];
  for (const row of failures) {
    test(`${row.name} is explained`, async () => {
      await using camera = await serve(row.handler === undefined ? {} : { '/x': row.handler });
      await using test = makeTestHub({ sources: [httpSource], streams: { cam: [camera.url + row.path] } });
      await assert.rejects(collect(test.hub.require('cam')), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.match(`${error.message} (${error.hint})`, row.want);
        return true;
      });
    });
  }

  test('a wrong password is not tried with every redial, so that the camera does not lock the account', async () => {
    const logins: string[] = [];
    await using camera = await serve({
      '/x': (request, response) => {
        logins.push(request.headers.authorization ?? '');
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      },
    });
    const url = `http://u:sesame@${camera.host}/x`;
    await using test = makeTestHub({
      sources: [makeHttpSource()],
      streams: { a: [url], b: [url], c: [`${url}?other`] },
    });
    for (const name of ['a', 'b', 'a', 'b']) {
      await assert.rejects(collect(test.hub.require(name)), /refused user and password \(401\)/);
    }
    assert.equal(logins.filter((login) => login !== '').length, 1);
    await assert.rejects(collect(test.hub.require('c')), /refused user and password/);
    assert.equal(logins.filter((login) => login !== '').length, 2, 'another address is tried at once');
  });

  test('a camera that nobody listens for is explained, with its address but without its password', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    await new Promise((resolve) => server.close(resolve));
    await using test = makeTestHub({
      sources: [httpSource],
      streams: { cam: [`http://u:secret@127.0.0.1:${address.port}/`] },
    });
    await assert.rejects(collect(test.hub.require('cam')), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.match(`${error.message} (${error.hint})`, /127.0.0.1:\d+ refused the connection \(nothing listens there/);
      assert.doesNotMatch(String(error.cause), /secret/);
      return true;
    });
  });

  for (const format of ['flv', 'mpegts'] as const) {
    test(`ffmpeg as an HTTP server of ${format}`, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      assert.ok(address !== null && typeof address === 'object');
      await new Promise((resolve) => server.close(resolve));
      const url = `http://127.0.0.1:${address.port}/live`;
      const ffmpeg = spawn('ffmpeg', [
        '-v',
        'error',
        '-re',
        '-i',
        join(folder, 'a.ts'),
        '-c',
        'copy',
        ...(format === 'flv' ? ['-bsf:a', 'aac_adtstoasc'] : []),
        '-f',
        format,
        '-listen',
        '1',
        url,
      ]);
      try {
        await using test = makeTestHub({ sources: [httpSource], streams: { cam: [url] } });
        const viewer = await waitFor(() => collect(test.hub.require('cam')).catch(() => null));
        using held = viewer;
        await held.wait('video', 25);
        await held.wait('audio', 10);
      } finally {
        ffmpeg.kill('SIGKILL');
      }
    });
  }
});

for (const [text, code] of [
  ['http://', 'source.url'],
  ['http:cam', 'source.url'],
  ['http://cam/#timeout=soon', 'source.timeout'],
  ['http://cam/#header=no colon here\r\nX: y', 'source.header'],
] as const) {
  test(`${JSON.stringify(text)} is refused before it is stored`, () => {
    assert.throws(
      () => httpSource.validate?.(parseSourceSpec(text)),
      (error: unknown) => error instanceof HearthcamError && error.code === code && error.status === 400,
    );
  });
}

test('https is refused with a way out when the camera made its certificate itself, httpx takes it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hc-tls-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    await run('openssl', [...args, '-subj', '/CN=camera', '-keyout', key, '-out', cert]);
    const jpeg = Buffer.from('ffd8ffc0000b080010001001011100ffda00080101003f00aaffd9', 'hex');
    const server = https.createServer(
      { key: await readFile(key), cert: await readFile(cert) },
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'image/jpeg' }).end(jpeg);
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    await using test = makeTestHub({
      sources: [httpSource],
      streams: { strict: [`https://127.0.0.1:${address.port}/`], lax: [`httpx://127.0.0.1:${address.port}/`] },
    });
    await assert.rejects(collect(test.hub.require('strict')), (error: unknown) => {
      assert.ok(error instanceof HearthcamError);
      assert.match(error.hint ?? '', /httpx:/);
      return true;
    });
    using viewer = await collect(test.hub.require('lax'));
    const units = await viewer.wait('video', 2);
    assert.deepEqual(units[0]?.data, jpeg);
    server.closeAllConnections();
    server.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
