import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { ClientAuth, parseAuthorization, parseChallenges, ServerAuth } from './auth.ts';
import { serializeResponse } from './message.ts';
import { RtspParser } from './parser.ts';
import { formatTransport, parseSession, parseTransport } from './transport.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

const packet = Buffer.from('24000010806000010000000100000002010203040506', 'hex').subarray(0, 20);
const seeds = [
  Buffer.concat([
    packet,
    packet,
    serializeResponse({ status: 200 }, { CSeq: 1 }, Buffer.from('v=0\r\nm=video 0 RTP/AVP 96\r\n')),
    packet,
  ]),
  Buffer.from(
    'SETUP rtsp://h/c/trackID=1 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n',
  ),
  Buffer.from('RTSP/1.0 401 Unauthorized\nWWW-Authenticate: Digest realm="a", nonce="b"\nContent-Length: 3\n\nabc'),
];

/** Real bytes with some of them changed, cut out or repeated. */
const mutated = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'cut', 'double')), {
      maxLength: 8,
    }),
  )
  .map(([seed, edits]) => {
    let bytes = Buffer.from(seed);
    for (const [position, value, how] of edits) {
      const at = position % Math.max(1, bytes.length);
      if (how === 'set') bytes[at] = value;
      else if (how === 'cut') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + (value % 16))]);
      else bytes = Buffer.concat([bytes, bytes.subarray(at, at + value)]);
    }
    return bytes;
  });
const stream = fc.oneof(
  mutated,
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ maxLength: 200 }).map((text) => Buffer.from(text)),
);

test('any bytes in any pieces give frames and messages or a WireError, and whole or cut give the same', () => {
  fc.assert(
    fc.property(fc.array(stream, { maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (parts, size) => {
      const bytes = Buffer.concat(parts);
      const whole = run([bytes]);
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
      assert.deepEqual(run(pieces), whole);
    }),
    { numRuns },
  );
});

function run(chunks: readonly Buffer[]): string[] {
  const out: string[] = [];
  const parser = new RtspParser({
    onMessage: (message) => out.push(JSON.stringify(message)),
    onInterleaved: (channel, data, start, end) => {
      assert.ok(start <= end && end <= data.length);
      out.push(`${channel} ${data.toString('hex', start, end)}`);
    },
  });
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    out.push(error.code);
  }
  return out;
}

test('after garbage of any kind the next real frames are found again', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      const parser = new RtspParser({ onMessage: () => {}, onInterleaved: () => frames++ });
      let frames = 0;
      parser.push(packet);
      parser.push(Buffer.from(noise));
      // A frame that the noise seems to begin may swallow up to 64 KiB.
      const tail = Buffer.concat(Array.from({ length: 4500 }, () => packet));
      parser.push(tail);
      assert.ok(frames > 1000, `${frames} frames`);
    }),
    { numRuns: Math.min(numRuns, 2000) },
  );
});

test('header fields of any text are read without an exception', () => {
  const hint = fc.constantFrom(
    'RTP/AVP/TCP;',
    'interleaved=',
    'ssrc=',
    'client_port=',
    '-',
    '=',
    ';',
    ',',
    '"',
    'Digest ',
    'nonce=',
    'Basic ',
    'realm="',
    '\\',
  );
  const text = fc.oneof(
    fc.string({ maxLength: 300 }),
    fc.array(fc.oneof(hint, fc.string({ maxLength: 4 })), { maxLength: 40 }).map((all) => all.join('')),
  );
  const server = new ServerAuth({ realm: 'r', password: () => 'p' });
  fc.assert(
    fc.property(text, (value) => {
      for (const one of parseTransport(value)) parseTransport(formatTransport(one));
      parseSession(value);
      parseAuthorization(value);
      const client = new ClientAuth({ user: 'u', password: 'p' });
      client.challenge(parseChallenges([value]), false);
      client.authorize('PLAY', value);
      assert.notEqual(server.verify(value, 'PLAY', value, 0).status, 'ok');
    }),
    { numRuns },
  );
});
