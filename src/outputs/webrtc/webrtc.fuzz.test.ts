import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { parseListen } from './config.ts';
import { encodeDown, encodeUp, parseDown, parseUp } from './link.ts';
import { readRemb } from './remb.ts';
import { writeAnswer } from './sdp/answer.ts';
import { parseCandidate } from './sdp/candidate.ts';
import { choosePayload, offeredCodecs } from './sdp/choose.ts';
import { parseOffer } from './sdp/offer.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);
const offers = ['chromium-watch.sdp', 'chromium-publish.sdp'].map((name) =>
  readFileSync(new URL(`./testdata/${name}`, import.meta.url), 'utf8'),
);

function throwsOnlyWireErrors(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

/** A real offer with lines doubled, taken out, moved and overwritten. */
const mutatedOffer = fc
  .tuple(
    fc.constantFrom(...offers),
    fc.array(fc.tuple(fc.nat(), fc.nat(5), fc.string({ maxLength: 40 })), { minLength: 1, maxLength: 12 }),
  )
  .map(([offer, changes]) => {
    const lines = offer.split('\r\n');
    for (const [where, how, text] of changes) {
      const at = where % lines.length;
      const line = lines[at] ?? '';
      if (how === 0) lines.splice(at, 1);
      else if (how === 1) lines.splice(at, 0, line);
      else if (how === 2) lines[at] = line.slice(0, where % (line.length + 1)) + text;
      else if (how === 3) lines[at] = line.replace(/\d+/, String(where));
      else if (how === 4) lines[at] = text;
      else lines.push(...lines.splice(at, 1));
    }
    return lines.join('\r\n');
  });

test('no offer makes the parser do more than refuse it', () => {
  fc.assert(
    fc.property(fc.oneof(mutatedOffer, fc.string({ maxLength: 2_000 })), (text) => {
      throwsOnlyWireErrors(() => {
        const offer = parseOffer(text);
        for (const media of offer.media) {
          for (const codec of offeredCodecs(media)) choosePayload(media, codec, null);
        }
        const local = { iceUfrag: 'u', icePwd: 'p', fingerprint: { algorithm: 'sha-256', value: 'AA' } };
        writeAnswer(offer, [], { ...local, setup: 'active' }, [], 1);
      });
    }),
    { numRuns },
  );
});

test('no candidate makes the parser do more than refuse it', () => {
  const line = 'candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host generation 0';
  const mutated = fc
    .tuple(fc.nat(line.length), fc.string({ maxLength: 20 }))
    .map(([at, text]) => line.slice(0, at) + text + line.slice(at + text.length));
  fc.assert(
    fc.property(fc.oneof(mutated, fc.string()), (text) => {
      parseCandidate(text);
      parseListen(text);
    }),
    { numRuns },
  );
});

test('no message from the other process makes its parser do more than refuse it', () => {
  const media = fc.record({ mid: fc.string(), kind: fc.constantFrom('video', 'audio', 'x'), ssrc: fc.integer() });
  const header = fc.record(
    {
      type: fc.constantFrom('config', 'format', 'unit', 'peer', 'answer', 'stats', 'rtp', 'candidate', 'closed', 'x'),
      peer: fc.oneof(fc.nat(), fc.double(), fc.string()),
      feed: fc.integer(),
      track: fc.nat(),
      pts: fc.oneof(fc.integer(), fc.constant(Number.NaN)),
      key: fc.boolean(),
      media: fc.oneof(fc.nat(200), fc.array(media)),
      format: fc.oneof(fc.jsonValue(), fc.record({ kind: fc.constant('video'), codec: fc.constant('h264') })),
      request: fc.oneof(fc.jsonValue(), fc.record({ peer: fc.nat(), feed: fc.nat(), media: fc.array(media) })),
      local: fc.jsonValue(),
      candidates: fc.jsonValue(),
      peers: fc.array(fc.jsonValue()),
      reason: fc.jsonValue(),
    },
    { requiredKeys: ['type'] },
  );
  fc.assert(
    fc.property(fc.oneof(header, fc.jsonValue()), (value) => {
      throwsOnlyWireErrors(() => encodeDown(parseDown(value, Buffer.alloc(3))));
      throwsOnlyWireErrors(() => encodeUp(parseUp(value, Buffer.alloc(3))));
    }),
    { numRuns },
  );
});

test('no RTCP packet makes the search for an estimate fail', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      readRemb(Buffer.from(bytes));
    }),
    { numRuns },
  );
});
