import { type Canvas, mix, rgb } from './canvas.ts';
import type { Put, Scene, SpriteDesign } from './scene.ts';
import { circle, cloud, crescent, ellipse, type Figure, heart, line, paint, polygon, rect, star } from './shapes.ts';

const MOBILE_X = 656;
const MOBILE_Y = 168;
const MOBILE_RADIUS = 112;
const HANGING_WIDTH = 80;
const WOOD = rgb('d8b388');
const WOOD_DARK = rgb('a8845f');

/** A child's room at night: a crib under a turning mobile, a lamp, the moon in the window. */
export const nursery: Scene = {
  paint(canvas) {
    room(canvas);
    windowWithMoon(canvas);
    dresserWithLamp(canvas);
    crib(canvas);
    teddy(canvas);
  },
  sprites: [
    hanging(118, (x, y) => star(x, y, 24), 'f7d774'),
    hanging(150, (x, y) => crescent(x, y, 24), 'f2e9c9'),
    hanging(104, (x, y) => cloud(x, y, 0.34), 'b9cdf2'),
    hanging(138, heart, 'f0a3b4'),
    hanging(126, (x, y) => star(x, y, 20), '9fe0c8'),
  ],
  place(seconds, put) {
    mobile(seconds, put);
  },
};

function hanging(length: number, figure: (x: number, y: number) => Figure, colour: string): SpriteDesign {
  return {
    width: HANGING_WIDTH,
    height: length + 32,
    draw(canvas) {
      const middle = HANGING_WIDTH / 2;
      paint(canvas, line(middle, 0, middle, length - 18, 2), rgb('cfd3ea'), 0.8);
      paint(canvas, figure(middle, length), rgb(colour));
    },
  };
}

/** Five things on a wheel seen from the side, one turn in 16 s; those in front hide those behind. */
function mobile(seconds: number, put: Put): void {
  const places = Array.from({ length: 5 }, (_, index) => {
    const angle = ((seconds / 16 + index / 5) % 1) * 2 * Math.PI;
    return { index, x: Math.sin(angle) * MOBILE_RADIUS, depth: Math.cos(angle) };
  });
  places.sort((one, other) => one.depth - other.depth);
  for (const { index, x, depth } of places) {
    const bob = Math.sin(seconds * 1.1 + index * 1.7) * 2;
    put(index, MOBILE_X + x - HANGING_WIDTH / 2, MOBILE_Y + depth * 9 + bob);
  }
}

function room(canvas: Canvas): void {
  canvas.fill((_x, y) =>
    y < 540 ? mix(rgb('1b2246'), rgb('3a4277'), y / 540) : mix(rgb('4a3a4c'), rgb('2c2233'), (y - 540) / 180),
  );
  for (let row = 0; row < 6; row++) {
    for (let column = 0; column < 15; column++) {
      const x = column * 92 + (row % 2 === 0 ? 20 : 66);
      paint(canvas, star(x, 60 + row * 84, 6), rgb('aab4ee'), 0.16);
    }
  }
  paint(canvas, rect(-10, 526, 1300, 16), rgb('515a92'));
  paint(canvas, ellipse(650, 640, 440, 62), rgb('6d5f97'));
  paint(canvas, ellipse(650, 640, 380, 50), rgb('8375ad'));
  paint(canvas, ellipse(650, 640, 300, 37), rgb('6d5f97'));
}

function windowWithMoon(canvas: Canvas): void {
  paint(canvas, rect(912, 96, 262, 292, 10), rgb('6a74a8'));
  const glass = rect(926, 110, 234, 264, 4);
  paint(canvas, glass, (_x, y) => mix(rgb('0a1030'), rgb('2b3d7c'), (y - 110) / 264));
  canvas.glow(1092, 180, 110, rgb('cfd8ff'), 0.35);
  paint(canvas, crescent(1092, 182, 36), rgb('f8efca'));
  const stars: readonly [number, number, number][] = [
    [952, 142, 2.4],
    [984, 206, 1.8],
    [1010, 150, 2.8],
    [960, 262, 2],
    [1120, 266, 2.2],
    [1140, 136, 1.8],
    [1072, 292, 1.6],
    [1004, 318, 2.2],
  ];
  for (const [x, y, radius] of stars) paint(canvas, circle(x, y, radius), rgb('eef2ff'));
  paint(
    canvas,
    polygon([
      [926, 374],
      [926, 346],
      [1000, 326],
      [1070, 350],
      [1160, 322],
      [1160, 374],
    ]),
    rgb('141a3a'),
  );
  paint(canvas, rect(1039, 110, 8, 264), rgb('6a74a8'));
  paint(canvas, rect(926, 238, 234, 8), rgb('6a74a8'));
  paint(canvas, rect(896, 386, 294, 16, 6), rgb('7d87bb'));
  const fold = (from: number) => (x: number) => mix(rgb('6c5583'), rgb('9276aa'), 0.5 + 0.5 * Math.sin((x - from) / 7));
  paint(
    canvas,
    polygon([
      [890, 84],
      [962, 84],
      [938, 250],
      [906, 452],
      [890, 452],
    ]),
    fold(890),
  );
  paint(
    canvas,
    polygon([
      [1196, 84],
      [1124, 84],
      [1148, 250],
      [1180, 452],
      [1196, 452],
    ]),
    fold(1124),
  );
  paint(canvas, line(876, 82, 1210, 82, 9), rgb('d2aa70'));
  paint(canvas, circle(872, 82, 9), rgb('d2aa70'));
  paint(canvas, circle(1214, 82, 9), rgb('d2aa70'));
}

function dresserWithLamp(canvas: Canvas): void {
  paint(canvas, rect(78, 424, 236, 150, 10), rgb('7a5643'));
  paint(canvas, rect(70, 414, 252, 18, 7), rgb('916a52'));
  for (const top of [444, 508]) {
    paint(canvas, rect(92, top, 208, 54, 6), rgb('8a624c'));
    paint(canvas, circle(150, top + 27, 6), rgb('d9b382'));
    paint(canvas, circle(242, top + 27, 6), rgb('d9b382'));
  }
  for (const x of [90, 286]) paint(canvas, rect(x, 572, 18, 24, 4), rgb('5f4233'));
  for (const [index, colour] of ['c96f6f', '6fa8c9', '8fc98a'].entries()) {
    paint(canvas, rect(244 + index * 18, 362 - index * 5, 15, 52 + index * 5, 2), rgb(colour));
  }
  paint(canvas, ellipse(168, 410, 34, 8), rgb('d9b382'));
  paint(canvas, line(168, 408, 168, 356, 8), rgb('d9b382'));
  canvas.glow(168, 340, 430, rgb('ff9e4a'), 0.42);
  paint(
    canvas,
    polygon([
      [136, 282],
      [200, 282],
      [226, 364],
      [110, 364],
    ]),
    (_x, y) => mix(rgb('fff0c4'), rgb('ffc570'), (y - 282) / 82),
  );
  canvas.glow(168, 350, 130, rgb('ffd79a'), 0.25);
}

function crib(canvas: Canvas): void {
  for (let x = 500; x < 830; x += 36) paint(canvas, line(x, 408, x, 510, 7), WOOD_DARK);
  paint(canvas, rect(466, 398, 384, 13, 6), WOOD_DARK);
  paint(canvas, rect(474, 496, 368, 52, 14), rgb('e9e4f2'));
  paint(canvas, ellipse(556, 502, 66, 20), rgb('faf8ff'));
  paint(canvas, circle(556, 482, 31), rgb('f2cba8'));
  paint(
    canvas,
    polygon([
      [527, 474],
      [534, 456],
      [556, 449],
      [578, 457],
      [586, 472],
      [560, 462],
    ]),
    rgb('6b4a33'),
  );
  for (const x of [545, 568]) paint(canvas, line(x - 6, 484, x + 6, 484, 2.4), rgb('8a5f45'));
  paint(canvas, line(552, 496, 561, 496, 2.2), rgb('c98a74'));
  canvas.draw(ellipse(706, 520, 150, 62).shape, { left: 556, top: 450, right: 852, bottom: 530 }, (x, y) =>
    Math.hypot(((x + y * 0.5) % 34) - 17, (y % 30) - 15) < 5
      ? rgb('e8f3f7')
      : mix(rgb('86bcd4'), rgb('5d93b4'), (y - 458) / 70),
  );
  for (let x = 496; x < 840; x += 36) paint(canvas, line(x, 446, x, 562, 8), WOOD);
  paint(canvas, rect(458, 434, 400, 16, 8), WOOD);
  paint(canvas, rect(458, 552, 400, 16, 8), WOOD);
  for (const x of [450, 850]) {
    paint(canvas, rect(x, 392, 18, 218, 8), WOOD);
    paint(canvas, circle(x + 9, 390, 12), WOOD);
  }
  paint(canvas, line(859, 392, 859, 190, 9), WOOD_DARK);
  paint(canvas, line(859, 190, 820, 144, 9), WOOD_DARK);
  paint(canvas, line(820, 144, MOBILE_X, 144, 9), WOOD_DARK);
  paint(canvas, line(MOBILE_X, 144, MOBILE_X, 170, 4), rgb('cfd3ea'));
  const wheel = ellipse(MOBILE_X, MOBILE_Y + 4, MOBILE_RADIUS + 6, 12);
  const hole = ellipse(MOBILE_X, MOBILE_Y + 4, MOBILE_RADIUS, 8);
  canvas.draw((x, y) => Math.max(wheel.shape(x, y), -hole.shape(x, y)), wheel.box, WOOD);
}

function teddy(canvas: Canvas): void {
  const fur = rgb('a9784f');
  const light = rgb('d7ac7e');
  paint(canvas, ellipse(380, 668, 60, 10), rgb('1f1826'), 0.5);
  for (const x of [346, 414]) paint(canvas, circle(x, 566, 15), fur);
  paint(canvas, ellipse(380, 638, 42, 40), fur);
  paint(canvas, ellipse(380, 646, 24, 24), light);
  paint(canvas, circle(380, 590, 38), fur);
  paint(canvas, ellipse(380, 602, 17, 13), light);
  paint(canvas, ellipse(380, 597, 6, 4.5), rgb('3a2a20'));
  for (const x of [366, 394]) paint(canvas, circle(x, 584, 3.8), rgb('2b1f18'));
  paint(canvas, ellipse(340, 630, 14, 22), fur);
  paint(canvas, ellipse(420, 630, 14, 22), fur);
  for (const x of [354, 406]) {
    paint(canvas, ellipse(x, 668, 20, 13), fur);
    paint(canvas, circle(x, 668, 8), light);
  }
}
