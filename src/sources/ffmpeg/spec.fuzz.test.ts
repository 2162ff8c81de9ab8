import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec } from '../../core/source.ts';
import { PICTURE_LIMITS } from '../../core/targets.ts';
import { parseFfmpegSpec } from './spec.ts';
import { isSideways, mirror, rotate, targetTurn, turnOf, UPRIGHT } from './turn.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 300);

const words = fc.constantFrom(
  ...'video audio width height rotate bitrate fps gop hardware raw input query timeout loop drawtext'.split(' '),
  ...'h264 opus copy auto mjpeg -1 0 640 8192 800k 2M 1e9 NaN __proto__ hasOwnProperty -vf -an -c:v libx264'.split(' '),
  ...'transpose=2,vflip scale=w=1:h=2 hflip, "'.split(' '),
);
const parts = fc.array(fc.oneof(words, fc.string({ maxLength: 12 })), { maxLength: 4 }).map((some) => some.join(' '));
const params = fc.array(
  fc.tuple(fc.oneof(words, fc.string({ maxLength: 8 })), parts).map(([key, value]) => `#${key}=${value}`),
  { maxLength: 6 },
);

test('whatever is written is either understood, within limits, or refused with 400', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.constant('front'), fc.string({ maxLength: 20 })),
      params,
      parts,
      (input, some, template) => {
        const spec = parseSourceSpec(`ffmpeg:${input}${some.join('')}`);
        try {
          const { tracks, recipe } = parseFfmpegSpec(spec, { own: template, h264: template });
          assert.ok(tracks.length > 0);
          for (const target of recipe) {
            if (target.kind !== 'video') continue;
            const { width = 16, height = 16, fps = 1, gop = 1, bitrateKbps = 1 } = target;
            const [least, most] = PICTURE_LIMITS.side;
            assert.ok(width >= least && width <= most && height >= least && height <= most);
            assert.ok(fps > 0 && gop >= 1 && bitrateKbps >= 1 && bitrateKbps <= 200_000);
          }
        } catch (error) {
          if (!(error instanceof HearthcamError)) throw error;
          assert.equal(error.status, 400);
        }
      },
    ),
    { numRuns: runs },
  );
});

test('turns and mirrors one behind the other give the picture that they give', () => {
  // Where the corner at (x, y) of a picture around the origin goes; y points down.
  type Point = readonly [number, number];
  const steps: Readonly<Record<string, (point: Point) => Point>> = {
    right: ([x, y]) => [-y, x],
    left: ([x, y]) => [y, -x],
    hflip: ([x, y]) => [-x, y],
    vflip: ([x, y]) => [x, -y],
  };
  fc.assert(
    fc.property(fc.array(fc.constantFrom('right', 'left', 'hflip', 'vflip'), { maxLength: 8 }), (names) => {
      const move = (point: Point): Point => names.reduce((at, name) => steps[name]?.(at) ?? at, point);
      const turn = names.reduce((at, name) => {
        if (name === 'right' || name === 'left') return rotate(at, name === 'right' ? 90 : -90);
        return mirror(at, name === 'hflip' ? 'horizontal' : 'vertical');
      }, UPRIGHT);
      const { rotate: degrees = 0, flip } = targetTurn(turn);
      const made = (point: Point): Point => {
        let at = point;
        for (let done = 0; done < degrees; done += 90) at = steps['right']?.(at) ?? at;
        return flip === undefined ? at : (steps[flip === 'horizontal' ? 'hflip' : 'vflip']?.(at) ?? at);
      };
      for (const corner of [
        [2, 1],
        [-2, 1],
        [2, -1],
      ] as const) {
        // `+ 0` as -0 is another number for deepEqual.
        assert.deepEqual(
          made(corner).map((one) => one + 0),
          move(corner).map((one) => one + 0),
        );
      }
      assert.equal(isSideways(turn), Math.abs(move([2, 1])[0]) === 1);
      assert.deepEqual(turnOf(targetTurn(turn)), turn);
    }),
    { numRuns: runs },
  );
});
