import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { startTestApp } from '../../../testkit/app.ts';
import { type Clip, type ClipSource, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { waitFor } from '../../../testkit/wait.ts';
import type { StillDecoder } from '../../core/contracts.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { SourceModule } from '../../core/source.ts';
import { DEFAULT_TRANSCODE } from '../../transcode/settings.ts';
import { makeVideoFormat } from '../../wire/codecs/formats.ts';
import { mjpeg } from './module.ts';

const JPEG = Buffer.from('ffd8ffdb000401aaffd9', 'hex');

/** A camera that sends numbered JPEG pictures. */
const jpegCamera: SourceModule = {
  name: 'jpeg',
  schemes: ['jpeg'],
  run(request, sink) {
    const format = makeVideoFormat('jpeg', 16, 16);
    sink.describe({
      tracks: [{ kind: 'video', codec: 'jpeg', clockRateHz: 90_000, format }],
      formatName: 'mjpeg',
      protocol: 'test',
      remoteAddr: '',
      sharedClock: true,
    });
    let count = 0;
    return new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        count++;
        sink.alive(1);
        sink.unit({
          track: 0,
          format,
          ticks: count * 1800,
          key: true,
          data: Buffer.concat([JPEG, Buffer.from([count])]),
        });
        sink.flush();
      }, 20);
      request.signal.addEventListener('abort', () => {
        clearInterval(timer);
        resolve();
      });
    });
  },
};

async function readText(url: string, until: (text: string) => boolean): Promise<{ response: Response; text: string }> {
  const response = await fetch(url);
  let text = '';
  for await (const chunk of response.body ?? assert.fail('no body')) {
    text += Buffer.from(chunk).toString('latin1');
    if (until(text)) break;
  }
  return { response, text };
}

interface Viewer {
  readonly texts: string[];
  readonly pictures: Buffer[];
  close(): void;
}

function openSocket(url: string): Viewer {
  const socket = new WebSocket(url);
  const viewer: Viewer = { texts: [], pictures: [], close: () => socket.close() };
  socket.on('open', () => socket.send('{"type":"mjpeg"}'));
  socket.on('message', (data, binary) => {
    if (binary) viewer.pictures.push(Buffer.isBuffer(data) ? data : assert.fail());
    else viewer.texts.push(String(data));
  });
  return viewer;
}

describe('MJPEG', { timeout: 90_000 }, () => {
  let clip: Clip;
  before(async () => {
    clip = await makeClip(testPicture({ gop: 5, seconds: 2, audio: [] }));
  });
  const start = (camera: ClipSource, stills?: StillDecoder) =>
    startTestApp({
      streams: { jpeg: ['jpeg:1'], h264: ['clip:1'] },
      sources: [jpegCamera, camera.module],
      outputs: [mjpeg],
      // What is shown where nothing may be made.
      transcode: { ...DEFAULT_TRANSCODE, mode: 'never' },
      ...(stills === undefined ? {} : { stills }),
    });

  test('pictures of a JPEG camera are passed on in the form that clients know', async () => {
    await using server = await start(clipSource('clip', clip));
    const { response, text } = await readText(
      `${server.url}/api/stream.mjpeg?src=jpeg`,
      (seen) => seen.split('--frame\r\n').length > 3,
    );
    assert.equal(response.headers.get('content-type'), 'multipart/x-mixed-replace; boundary=frame');
    const [before, one = '', two = ''] = text.split('--frame\r\n');
    assert.equal(before, '');
    const head = 'Content-Type: image/jpeg\r\nContent-Length: 11\r\n\r\n';
    const count = one.charCodeAt(head.length + JPEG.length);
    const picture = (number: number): string => `${head}${JPEG.toString('latin1')}${String.fromCharCode(number)}\r\n`;
    assert.equal(one, picture(count));
    assert.equal(two, picture(count + 1));
  });

  test('over the WebSocket each picture is a message', async () => {
    await using server = await start(clipSource('clip', clip));
    const viewer = openSocket(`${server.wsUrl}?src=jpeg`);
    await waitFor(() => viewer.pictures.length >= 3);
    assert.deepEqual(viewer.texts, ['{"type":"mjpeg"}\n']);
    assert.deepEqual(viewer.pictures[0]?.subarray(0, JPEG.length), JPEG);
    viewer.close();
    await waitFor(() => server.app.hub.require('jpeg').consumers.size === 0);
  });

  test('where nothing may be made key frames are shown, decoded once for all viewers', async () => {
    let decoded = 0;
    const stills: StillDecoder = {
      still: async ({ format, data }) => {
        assert.equal(format.codec, 'h264');
        assert.ok(data.length > 1000, 'a key frame');
        return Buffer.concat([JPEG, Buffer.from([++decoded])]);
      },
    };
    await using server = await start(clipSource('clip', clip), stills);
    const viewers = [1, 2, 3].map(() => openSocket(`${server.wsUrl}?src=h264`));
    const { text } = await readText(
      `${server.url}/api/stream.mjpeg?src=h264`,
      (seen) => seen.split('--frame\r\n').length > 4,
    );
    assert.match(text, /^--frame\r\nContent-Type: image\/jpeg\r\nContent-Length: 11\r\n\r\n/);
    await waitFor(() => viewers.every((viewer) => viewer.pictures.length >= 4));
    for (const { pictures } of viewers) {
      const numbers = pictures.map((picture) => picture.at(-1) ?? 0);
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => (numbers[0] ?? 0) + index),
        'every key frame once, in order',
      );
    }
    // Five key frames a second: as many decodings as pictures, whatever the number of viewers.
    assert.ok(decoded <= Math.max(...viewers.map((viewer) => viewer.pictures.length)) + 4, `${decoded} decodings`);
    for (const viewer of viewers) viewer.close();
  });

  test('while the decoder is busy only the newest key frame waits', async () => {
    const asked: PromiseWithResolvers<Buffer>[] = [];
    const stills: StillDecoder = {
      still: () => {
        const one = Promise.withResolvers<Buffer>();
        asked.push(one);
        return one.promise;
      },
    };
    await using server = await start(clipSource('clip', clip), stills);
    const viewer = openSocket(`${server.wsUrl}?src=h264`);
    await waitFor(() => asked.length === 1);
    const track = server.app.hub.require('h264').tracks[0];
    const units = track?.units ?? 0;
    await waitFor(() => (track?.units ?? 0) > units + 15, { what: 'three more key frames' });
    assert.equal(asked.length, 1);
    asked[0]?.resolve(JPEG);
    await waitFor(() => viewer.pictures.length === 1 && asked.length === 2);
    viewer.close();
  });

  test('a decoder that fails and a camera that is dead are told, not shown as an empty answer', async () => {
    const camera = clipSource('clip', clip);
    const stills: StillDecoder = {
      still: () => Promise.reject(new HearthcamError('test', 'broken picture')),
    };
    await using server = await start(camera, stills);
    const broken = await fetch(`${server.url}/api/stream.mjpeg?src=h264`);
    assert.equal(broken.status, 502);
    assert.match(await broken.text(), /could not be decoded: broken picture\n$/);
    const viewer = openSocket(`${server.wsUrl}?src=nobody`);
    await waitFor(() => viewer.texts.length > 0);
    assert.deepEqual(viewer.texts, ['{"type":"error","value":"mjpeg: stream not found"}\n']);
    viewer.close();
    camera.refuse = true;
    camera.drop();
    await waitFor(() => !server.app.hub.require('h264').running);
    const dead = await fetch(`${server.url}/api/stream.mjpeg?src=h264`);
    assert.ok(dead.status >= 500, String(dead.status));
    assert.match(await dead.text(), /\n$/);
  });
});
