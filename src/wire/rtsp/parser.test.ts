import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError } from '../../core/errors.ts';
import { type RtspMessage, serializeRequest, serializeResponse } from './message.ts';
import { RtspParser, type RtspParserLimits, writeFrameHeader } from './parser.ts';

/** What a parser made of the chunks, in order, as short text. */
function parse(chunks: readonly Buffer[], limits?: RtspParserLimits): string[] {
  const out: string[] = [];
  const parser = new RtspParser(
    {
      onMessage: (message) => out.push(show(message)),
      onInterleaved: (channel, data, start, end) => out.push(`$${channel}:${data.toString('hex', start, end)}`),
      onGarbage: (bytes) => out.push(`garbage ${bytes}`),
    },
    limits,
  );
  for (const chunk of chunks) parser.push(chunk);
  return out;
}

function show(message: RtspMessage): string {
  const body = message.body.length > 0 ? ` body=${message.body.toString()}` : '';
  const head = message.kind === 'request' ? `${message.method} ${message.url}` : `${message.status} ${message.reason}`;
  return `${head} #${message.cseq ?? '-'}${body}`;
}

function frame(channel: number, packet: Buffer): Buffer {
  const header = Buffer.alloc(4);
  writeFrameHeader(header, 0, channel, packet.length);
  return Buffer.concat([header, packet]);
}

const RTP = Buffer.from('8060000100000001000000020102', 'hex');
const RTP_TEXT = RTP.toString('hex');

const rows: { name: string; bytes: Buffer; want: string[] }[] = [
  {
    name: 'a request with all its parts',
    bytes: serializeRequest('SETUP', 'rtsp://cam/1', { CSeq: 3, Session: 'abc' }),
    want: ['SETUP rtsp://cam/1 #3'],
  },
  {
    name: 'a response with a body, then another one',
    bytes: Buffer.concat([
      serializeResponse({ status: 200 }, { CSeq: 1 }, Buffer.from('v=0\r\n')),
      serializeResponse({ status: 404 }, { CSeq: 2 }),
    ]),
    want: ['200 OK #1 body=v=0\r\n', '404 Not Found #2'],
  },
  {
    name: 'frames around a response',
    bytes: Buffer.concat([frame(0, RTP), serializeResponse({ status: 200 }, { CSeq: 9 }), frame(1, RTP)]),
    want: [`$0:${RTP_TEXT}`, '200 OK #9', `$1:${RTP_TEXT}`],
  },
  {
    name: 'an empty frame',
    bytes: Buffer.concat([frame(0, Buffer.alloc(0)), frame(0, RTP)]),
    want: ['$0:', `$0:${RTP_TEXT}`],
  },
  { name: 'bare line feeds', bytes: Buffer.from('RTSP/1.0 200 OK\nCSeq: 4\n\n'), want: ['200 OK #4'] },
  {
    name: 'blank lines before a message',
    bytes: Buffer.from('\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'),
    want: ['OPTIONS * #1'],
  },
  {
    name: 'two blanks in the status line, no reason',
    bytes: Buffer.from('RTSP/1.0  200\r\nCSeq: 4\r\n\r\n'),
    want: ['200  #4'],
  },
  {
    name: 'go2rtc spells the field Cseq',
    bytes: Buffer.from('RTSP/1.0 200 OK\r\nCseq: 7\r\n\r\n'),
    want: ['200 OK #7'],
  },
  { name: 'a response without CSeq', bytes: Buffer.from('RTSP/1.0 200 OK\r\nServer: x\r\n\r\n'), want: ['200 OK #-'] },
  {
    name: 'a URL with blanks in it',
    bytes: Buffer.from('DESCRIBE rtsp://cam/my stream RTSP/1.0\r\nCSeq: 2\r\n\r\n'),
    want: ['DESCRIBE rtsp://cam/my stream #2'],
  },
  {
    name: 'header lines without a colon and folded ones',
    bytes: Buffer.from('RTSP/1.0 200 OK\r\nnonsense\r\nCSeq : 5\r\nPublic: A,\r\n B\r\n\r\n'),
    want: ['200 OK #5'],
  },
  {
    name: 'zero bytes between frames are skipped',
    bytes: Buffer.concat([frame(0, RTP), Buffer.alloc(5), frame(2, RTP)]),
    want: [`$0:${RTP_TEXT}`, 'garbage 5', `$2:${RTP_TEXT}`],
  },
  {
    name: 'a dollar sign and letters within garbage begin nothing',
    bytes: Buffer.concat([
      frame(0, RTP),
      Buffer.from([1, 0x24, 0x99, 0x41, 0x42, 2, 0x24, 0, 0, 99, 1]),
      frame(2, RTP),
    ]),
    want: [`$0:${RTP_TEXT}`, 'garbage 11', `$2:${RTP_TEXT}`],
  },
  {
    name: 'the rest of a body that is longer than announced is skipped (MERCURY)',
    bytes: Buffer.concat([
      Buffer.from('RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0\r\no=- x\r\n'),
      serializeResponse({ status: 200 }, { CSeq: 2 }),
    ]),
    want: ['200 OK #1 body=v=0', 'garbage 7', '200 OK #2'],
  },
];

for (const row of rows) {
  test(`an RTSP stream with ${row.name} is understood`, () => assert.deepEqual(parse([row.bytes]), row.want));
}

test('the same is understood however the bytes are cut', () => {
  for (const row of rows) {
    for (const size of [1, 2, 3, 7, 19]) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < row.bytes.length; at += size) chunks.push(row.bytes.subarray(at, at + size));
      const got = parse(chunks).filter((line) => !line.startsWith('garbage'));
      assert.deepEqual(
        got,
        row.want.filter((line) => !line.startsWith('garbage')),
        `${row.name} in pieces of ${size}`,
      );
    }
  }
});

test('a frame that is whole in its chunk is not copied', () => {
  const chunk = Buffer.concat([frame(0, RTP), frame(1, RTP)]);
  const seen: Buffer[] = [];
  const parser = new RtspParser({ onMessage: () => {}, onInterleaved: (_channel, data) => seen.push(data) });
  parser.push(chunk);
  assert.ok(seen.length === 2 && seen.every((data) => data === chunk));
});

const refusals: { name: string; bytes: Buffer; limits?: RtspParserLimits; code: string }[] = [
  {
    name: 'a header without end',
    bytes: Buffer.from(`PLAY * RTSP/1.0\r\n${'X: y\r\n'.repeat(5000)}`),
    code: 'rtsp.head',
  },
  {
    name: 'a body of a gigabyte',
    bytes: Buffer.from('ANNOUNCE * RTSP/1.0\r\nContent-Length: 1000000000\r\n\r\n'),
    code: 'rtsp.body',
  },
  {
    name: 'a length that is no number',
    bytes: Buffer.from('ANNOUNCE * RTSP/1.0\r\nContent-Length: many\r\n\r\n'),
    code: 'rtsp.length',
  },
  { name: 'endless garbage', bytes: Buffer.alloc(300_000, 0x55), code: 'rtsp.garbage' },
  {
    name: 'TLS to a plain port',
    bytes: Buffer.from('16030100c8010000', 'hex'),
    limits: { maxGarbageBytes: 0 },
    code: 'rtsp.garbage',
  },
  {
    name: 'a web browser',
    bytes: Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    limits: { maxGarbageBytes: 0 },
    code: 'rtsp.garbage',
  },
];
for (const row of refusals) {
  test(`${row.name} is refused with ${row.code}`, () => {
    assert.throws(
      () => parse([row.bytes], row.limits),
      (error) => error instanceof WireError && error.code === row.code,
    );
  });
}

test('nothing is handed on after stop, even from the same chunk', () => {
  const seen: number[] = [];
  const parser = new RtspParser({
    onMessage: () => {},
    onInterleaved: (channel) => {
      seen.push(channel);
      parser.stop();
    },
  });
  parser.push(Buffer.concat([frame(0, RTP), frame(1, RTP)]));
  parser.push(frame(2, RTP));
  assert.deepEqual(seen, [0]);
});

test('a value with a line break cannot be sent', () => {
  assert.throws(() => serializeRequest('PLAY', 'rtsp://a', { Session: 'x\r\nEvil: 1' }), WireError);
  assert.throws(() => serializeRequest('PLAY', 'rtsp://a b', {}), WireError);
});
