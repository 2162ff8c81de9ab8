import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { mediaControl } from './control.ts';
import { chooseFormat } from './media.ts';
import { parseSdp } from './parse.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

const piece = fc.oneof(
  fc.constantFrom(
    'v=0',
    'm=video 0 RTP/AVP 96',
    'm=audio 0 RTP/AVP 8 97',
    'a=rtpmap:',
    '96 ',
    'H264/90000',
    'a=fmtp:96 ',
  ),
  fc.constantFrom(
    'sprop-parameter-sets=',
    ';',
    '=',
    '\n',
    '\r\n',
    'a=control:',
    '*',
    'a=',
    'b=AS:',
    '/',
    ':',
    ' ',
    '"',
    '-1',
    '999999999999',
  ),
  fc.string({ maxLength: 6 }),
);
const text = fc.oneof(
  fc.string({ maxLength: 300 }),
  fc.array(piece, { maxLength: 60 }).map((parts) => `v=0\n${parts.join('')}`),
);

test('a session description of any text gives media or a WireError', () => {
  fc.assert(
    fc.property(text, (sdp) => {
      try {
        const session = parseSdp(sdp);
        for (const media of session.media) {
          chooseFormat(media);
          mediaControl(
            { contentBase: sdp, contentLocation: sdp, requestUrl: 'rtsp://a' },
            session.control,
            media.control,
          );
        }
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    }),
    { numRuns },
  );
});
