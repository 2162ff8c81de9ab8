import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { boundaryOf, JpegSplitter, MultipartReader } from './reader.ts';
import { MULTIPART_BEGIN, writeJpegParts } from './writer.ts';

const boundaryRows = [
  { name: 'plain', text: 'multipart/x-mixed-replace; boundary=frame', want: 'frame' },
  { name: 'quoted', text: 'multipart/x-mixed-replace;boundary="my frame"; x=1', want: 'my frame' },
  { name: 'with its dashes', text: 'multipart/x-mixed-replace; BOUNDARY=--myboundary', want: '--myboundary' },
  { name: 'missing', text: 'multipart/x-mixed-replace', want: undefined },
  { name: 'empty', text: 'multipart/x-mixed-replace; boundary=', want: undefined },
];
for (const row of boundaryRows) {
  test(`boundary parameter: ${row.name}`, () => assert.equal(boundaryOf(row.text), row.want));
}

/** The smallest thing with the shape of a JPEG: SOI, a segment that holds another SOI and EOI, scan data, EOI. */
const jpegA = Buffer.from('ffd8ffe0000affd8ffd9aabbccddffda000401023fff00ffd10ad9ffd9', 'hex');
const jpegB = Buffer.from('ffd8ffda000400001122ffd9', 'hex');

const rows = [
  {
    name: 'as go2rtc writes it',
    boundary: 'frame',
    bytes: Buffer.concat([MULTIPART_BEGIN, writeJpegParts([jpegA, jpegB, jpegA])]),
  },
  {
    name: 'no Content-Length',
    boundary: 'b1',
    bytes: text(
      '--b1\r\nContent-Type: image/jpeg\r\n\r\n',
      jpegA,
      '\r\n--b1\r\n\r\n',
      jpegB,
      '\r\n--b1\r\n\r\n',
      jpegA,
      '\r\n--b1\r\n',
    ),
  },
  {
    name: 'lines end with LF alone',
    boundary: 'b1',
    bytes: text('--b1\nContent-Length: 29\n\n', jpegA, '\n--b1\nA: b\n\n', jpegB, '\n--b1\n\n', jpegA, '\n--b1\n'),
  },
  {
    name: 'boundary announced with dashes and written with two more',
    boundary: '--myboundary',
    bytes: text(
      '----myboundary\r\n\r\n',
      jpegA,
      '\r\n----myboundary\r\n\r\n',
      jpegB,
      '\r\n----myboundary\r\n\r\n',
      jpegA,
      '\r\n----myboundary\r\n',
    ),
  },
  {
    name: 'boundary written without dashes',
    boundary: 'cam',
    bytes: text(
      'cam\r\nContent-Length: 29\r\n\r\n',
      jpegA,
      '\r\ncam\r\nContent-Length: 12\r\n\r\n',
      jpegB,
      'cam\r\nContent-Length: 29\r\n\r\n',
      jpegA,
    ),
  },
  {
    name: 'another boundary than announced, a preamble, Content-Length 0',
    boundary: 'announced',
    bytes: text(
      'hello\r\n\r\n--other\r\nContent-Length: 0\r\n\r\n',
      jpegA,
      '\r\n--other\r\n\r\n',
      jpegB,
      '\r\n--other\r\n\r\n',
      jpegA,
      '\r\n--other\r\n',
    ),
  },
  {
    name: 'Content-Length that is too short loses one part, not the rest',
    boundary: 'b',
    bytes: text(
      '--b\r\nContent-Length: 29\r\n\r\n',
      jpegA,
      '\r\n--b\r\nContent-Length: 12\r\n\r\n',
      jpegB,
      'junk\r\n--b\r\nContent-Length: 29\r\n\r\n',
      jpegA,
    ),
  },
];
for (const row of rows) {
  for (const step of [1, 7, 10_000]) {
    test(`multipart: ${row.name}, in pieces of ${step}`, () => {
      const bodies: string[] = [];
      const reader = new MultipartReader(row.boundary);
      for (let at = 0; at < row.bytes.length; at += step) {
        reader.push(row.bytes.subarray(at, at + step), (part) => bodies.push(part.body.toString('hex')));
      }
      assert.deepEqual(bodies, [jpegA.toString('hex'), jpegB.toString('hex'), jpegA.toString('hex')]);
    });
  }
}

test('nothing comes after the closing delimiter', () => {
  const reader = new MultipartReader('b');
  let parts = 0;
  reader.push(text('--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b\r\n'), () => parts++);
  assert.equal(parts, 1);
});

const bad = [
  { name: 'a web page without end', bytes: Buffer.alloc(70_000, 'text\n'), code: 'multipart.boundary' },
  { name: 'headers without end', bytes: text('--b\r\n', Buffer.alloc(9000, 'a: b\r\n')), code: 'multipart.headers' },
  { name: 'a part of gigabytes', bytes: text('--b\r\nContent-Length: 9999999999\r\n\r\n'), code: 'multipart.large' },
];
for (const row of bad) {
  test(`multipart: ${row.name} is refused`, () => {
    assert.throws(
      () => new MultipartReader('b').push(row.bytes, () => {}),
      (error: unknown) => error instanceof WireError && error.code === row.code,
    );
  });
}

for (const step of [1, 5, 1000]) {
  test(`JPEG files one after another are told apart, in pieces of ${step}`, () => {
    const bytes = Buffer.concat([text('junk'), jpegA, jpegB, text('\r\n'), jpegA, Buffer.from('ffd8aa', 'hex'), jpegB]);
    const found: string[] = [];
    const splitter = new JpegSplitter();
    for (let at = 0; at < bytes.length; at += step) {
      splitter.push(bytes.subarray(at, at + step), (jpeg) => found.push(jpeg.toString('hex')));
    }
    assert.deepEqual(
      found,
      [jpegA, jpegB, jpegA, jpegB].map((jpeg) => jpeg.toString('hex')),
    );
  });
}

function text(...parts: (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}
