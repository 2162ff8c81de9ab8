import { type Canvas, mix, rgb } from './canvas.ts';
import type { Put, Scene, SpriteDesign } from './scene.ts';
import { circle, cloud, ellipse, line, type Point, paint, polygon, rect, union } from './shapes.ts';

const CAT = 0;
const BUTTERFLY = 2;
const CLOUDS = 4;
const CAT_WIDTH = 196;
const CAT_LAP_S = 26;

/** A garden on a summer evening: a cat goes its way, a butterfly visits the flowers, clouds drift. */
export const garden: Scene = {
  paint(canvas) {
    sky(canvas);
    hedgeAndFence(canvas);
    shed(canvas);
    lawn(canvas);
    tree(canvas);
    flowers(canvas);
  },
  sprites: [cat(false), cat(true), butterfly(1), butterfly(0.45), drifting(0.62, 0.75), drifting(0.44, 0.6)],
  place(seconds, put) {
    put(CLOUDS, ((seconds * 9 + 500) % 1560) - 200, 64);
    put(CLOUDS + 1, ((seconds * 6 + 1100) % 1500) - 160, 150);
    flutter(seconds, put);
    walk(seconds, put);
  },
};

function walk(seconds: number, put: Put): void {
  const lap = (seconds % CAT_LAP_S) / CAT_LAP_S;
  const x = -CAT_WIDTH + lap * (1280 + 2 * CAT_WIDTH);
  put(Math.floor(seconds * 3.5) % 2 === 0 ? CAT : CAT + 1, x, 520 + Math.sin(lap * 9) * 12);
}

function flutter(seconds: number, put: Put): void {
  const x = 930 + Math.sin(seconds * 0.7) * 150 + Math.sin(seconds * 2.3) * 26;
  const y = 500 + Math.sin(seconds * 1.1) * 60 + Math.cos(seconds * 3.1) * 12;
  put(Math.floor(seconds * 7) % 2 === 0 ? BUTTERFLY : BUTTERFLY + 1, x, y);
}

function cat(stepping: boolean): SpriteDesign {
  return {
    width: CAT_WIDTH,
    height: 124,
    draw(canvas) {
      const fur = rgb('e0913f');
      const dark = rgb('b86a24');
      paint(canvas, ellipse(100, 116, 78, 7), rgb('1d3a1c'), 0.35);
      const tail: readonly Point[] = stepping
        ? [
            [36, 62],
            [18, 46],
            [16, 22],
            [26, 8],
          ]
        : [
            [36, 62],
            [16, 50],
            [10, 28],
            [18, 12],
          ];
      for (const [index, [x, y]] of tail.entries()) {
        const next = tail[index + 1];
        if (next !== undefined) paint(canvas, line(x, y, next[0], next[1], 11 - index), index === 2 ? dark : fur);
      }
      const feet = stepping ? [46, 74, 118, 150] : [58, 62, 132, 136];
      for (const [index, foot] of feet.entries()) {
        const hip = [50, 62, 126, 138][index] ?? foot;
        paint(canvas, line(hip, 78, foot, 112, 12), index % 2 === 0 ? dark : fur);
      }
      paint(canvas, ellipse(94, 66, 62, 25), fur);
      for (const x of [72, 92, 112]) paint(canvas, line(x, 44, x - 4, 62, 6), dark, 0.8);
      paint(
        canvas,
        polygon([
          [142, 34],
          [144, 8],
          [160, 24],
        ]),
        fur,
      );
      paint(
        canvas,
        polygon([
          [164, 24],
          [180, 8],
          [182, 34],
        ]),
        fur,
      );
      paint(canvas, ellipse(162, 44, 26, 23), fur);
      paint(canvas, ellipse(172, 53, 13, 9), rgb('f8e4c8'));
      paint(canvas, circle(158, 40, 3.6), rgb('2b3a1e'));
      paint(canvas, circle(175, 40, 3.6), rgb('2b3a1e'));
      paint(canvas, ellipse(174, 49, 4, 3), rgb('c0605a'));
    },
  };
}

function butterfly(open: number): SpriteDesign {
  return {
    width: 48,
    height: 40,
    draw(canvas) {
      const wing = rgb('f4f0ff');
      const edge = rgb('8a6bd1');
      for (const side of [-1, 1]) {
        paint(canvas, ellipse(24 + side * 11 * open, 13, 11 * open, 12), edge);
        paint(canvas, ellipse(24 + side * 10 * open, 14, 8 * open, 9), wing);
        paint(canvas, ellipse(24 + side * 9 * open, 28, 8 * open, 8), edge);
      }
      paint(canvas, line(24, 8, 24, 33, 4), rgb('3a3050'));
    },
  };
}

function drifting(size: number, opacity: number): SpriteDesign {
  return {
    width: Math.ceil((210 * size) / 2) * 2,
    height: Math.ceil((130 * size) / 2) * 2,
    draw: (canvas) => paint(canvas, cloud(104 * size, 68 * size, size), rgb('fffaf2'), opacity),
  };
}

function sky(canvas: Canvas): void {
  canvas.fill((_x, y) => mix(rgb('7fbbe6'), rgb('fbe6c6'), y / 400));
  canvas.glow(1010, 176, 330, rgb('ffdf9a'), 0.3);
  paint(canvas, circle(1010, 176, 50), rgb('fff4cf'));
  paint(canvas, ellipse(250, 470, 560, 190), rgb('9cc48e'));
  paint(canvas, ellipse(1050, 490, 620, 180), rgb('86b47c'));
}

function hedgeAndFence(canvas: Canvas): void {
  for (let x = -30; x < 1320; x += 58) {
    const top = 366 + Math.sin(x * 0.7) * 8;
    paint(canvas, circle(x, top + 44, 50), mix(rgb('3f7a45'), rgb('528f50'), 0.5 + 0.5 * Math.sin(x)));
  }
  paint(canvas, rect(-10, 408, 1300, 90), rgb('3f7a45'));
  for (const y of [404, 450]) paint(canvas, rect(-10, y, 1300, 12), rgb('e4d8c4'));
  for (let x = 6; x < 1280; x += 44) {
    paint(
      canvas,
      polygon([
        [x, 384],
        [x + 13, 368],
        [x + 26, 384],
        [x + 26, 486],
        [x, 486],
      ]),
      rgb('f5ecdd'),
    );
    paint(canvas, rect(x + 20, 384, 6, 102), rgb('d9cbb4'), 0.7);
  }
}

function shed(canvas: Canvas): void {
  paint(canvas, rect(1040, 296, 200, 206), rgb('8d5f4c'));
  for (let x = 1064; x < 1240; x += 25) paint(canvas, rect(x, 296, 3, 206), rgb('74493a'), 0.7);
  paint(
    canvas,
    polygon([
      [1014, 304],
      [1140, 216],
      [1266, 304],
    ]),
    rgb('5a4650'),
  );
  paint(canvas, rect(1108, 376, 66, 126, 4), rgb('5f8f8a'));
  paint(canvas, circle(1162, 444, 5), rgb('e8d39a'));
  paint(canvas, circle(1140, 330, 20), rgb('f4e7bd'));
  paint(canvas, rect(1138, 310, 4, 40), rgb('8d5f4c'));
  paint(canvas, rect(1120, 328, 40, 4), rgb('8d5f4c'));
}

function lawn(canvas: Canvas): void {
  canvas.draw(rect(-10, 484, 1300, 250).shape, { left: 0, top: 484, right: 1280, bottom: 720 }, (x, y) => {
    const stripe = Math.floor((x - 640) / (30 + (y - 480) * 0.5) + 1000) % 2 === 0 ? 0.06 : 0;
    return mix(rgb('86bb62'), rgb('4a8a44'), (y - 484) / 236 + stripe);
  });
  paint(
    canvas,
    polygon([
      [1112, 500],
      [1172, 500],
      [1010, 724],
      [760, 724],
    ]),
    rgb('dcc9a3'),
  );
  for (const [x, y, radius] of [
    [1110, 540, 22],
    [1050, 590, 30],
    [975, 650, 38],
  ] as const) {
    paint(canvas, ellipse(x, y, radius, radius * 0.4), rgb('c4ae86'));
  }
}

function tree(canvas: Canvas): void {
  paint(canvas, ellipse(224, 574, 130, 18), rgb('2c5a2c'), 0.45);
  paint(
    canvas,
    polygon([
      [200, 300],
      [246, 300],
      [250, 500],
      [276, 576],
      [172, 576],
      [196, 500],
    ]),
    rgb('6f4d38'),
  );
  paint(canvas, line(222, 380, 300, 300, 18), rgb('6f4d38'));
  const leaves = union(
    circle(150, 250, 80),
    circle(222, 190, 96),
    circle(306, 244, 82),
    circle(226, 282, 90),
    circle(96, 290, 46),
    circle(352, 290, 44),
  );
  paint(canvas, leaves, (x, y) =>
    mix(rgb('8cc063'), rgb('3d7a43'), (y - 110) / 250 + Math.sin(x / 23 + y / 17) * 0.06),
  );
  for (const [x, y] of [
    [140, 240],
    [206, 170],
    [286, 226],
    [240, 286],
    [166, 306],
    [320, 280],
  ] as const) {
    paint(canvas, circle(x, y, 10), rgb('d9534f'));
    paint(canvas, circle(x - 3, y - 3, 3), rgb('f4a7a0'));
  }
}

function flowers(canvas: Canvas): void {
  const colours = ['f2c14e', 'e76f8a', 'f7f3ff', 'b48ae0', 'f28f4e'];
  for (let index = 0; index < 22; index++) {
    const x = 1034 + ((index * 0.618034) % 1) * 236;
    const y = 618 + index * 3.6;
    paint(canvas, line(x, y, x + 3, y + 36, 4), rgb('356b35'));
    const petal = rgb(colours[index % colours.length] ?? 'f2c14e');
    for (let part = 0; part < 5; part++) {
      const angle = (part * 2 * Math.PI) / 5;
      paint(canvas, circle(x + Math.cos(angle) * 8, y + Math.sin(angle) * 8, 6.5), petal);
    }
    paint(canvas, circle(x, y, 5), rgb('fbe08a'));
  }
}
