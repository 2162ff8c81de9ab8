import type { Box, Canvas, Paint, Shape } from './canvas.ts';

/** Shapes as distance functions, with the box that encloses each; all lengths are design units. */
export interface Figure {
  readonly shape: Shape;
  readonly box: Box;
}

export function paint(canvas: Canvas, figure: Figure, colour: Paint, opacity = 1): void {
  canvas.draw(figure.shape, figure.box, colour, opacity);
}

export function circle(x: number, y: number, radius: number): Figure {
  return ellipse(x, y, radius, radius);
}

export function ellipse(x: number, y: number, radiusX: number, radiusY: number): Figure {
  return {
    shape: (px, py) => {
      const scaled = Math.hypot((px - x) / radiusX, (py - y) / radiusY);
      return (scaled - 1) * Math.min(radiusX, radiusY);
    },
    box: { left: x - radiusX, top: y - radiusY, right: x + radiusX, bottom: y + radiusY },
  };
}

/** A rectangle by its upper left corner and size, with round corners. */
export function rect(left: number, top: number, width: number, height: number, radius = 0): Figure {
  const centreX = left + width / 2;
  const centreY = top + height / 2;
  return {
    shape: (x, y) => {
      const dx = Math.abs(x - centreX) - width / 2 + radius;
      const dy = Math.abs(y - centreY) - height / 2 + radius;
      return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - radius;
    },
    box: { left, top, right: left + width, bottom: top + height },
  };
}

/** A line with round ends. */
export function line(x1: number, y1: number, x2: number, y2: number, width: number): Figure {
  const half = width / 2;
  const lengthSquared = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
  return {
    shape: (x, y) => {
      const along = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / lengthSquared));
      return Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)) - half;
    },
    box: {
      left: Math.min(x1, x2) - half,
      top: Math.min(y1, y2) - half,
      right: Math.max(x1, x2) + half,
      bottom: Math.max(y1, y2) + half,
    },
  };
}

export type Point = readonly [x: number, y: number];

/** Any closed outline. */
export function polygon(points: readonly Point[]): Figure {
  const shape: Shape = (x, y) => {
    let inside = false;
    let nearest = Number.POSITIVE_INFINITY;
    for (const [index, [ax, ay]] of points.entries()) {
      const [bx, by] = points[(index + 1) % points.length] ?? [ax, ay];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
      const lengthSquared = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
      const along = Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / lengthSquared));
      nearest = Math.min(nearest, Math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)));
    }
    return inside ? -nearest : nearest;
  };
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return {
    shape,
    box: { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) },
  };
}

export function star(x: number, y: number, radius: number): Figure {
  const points = Array.from({ length: 10 }, (_, index): Point => {
    const angle = (index * Math.PI) / 5 - Math.PI / 2;
    const reach = index % 2 === 0 ? radius : radius * 0.45;
    return [x + Math.cos(angle) * reach, y + Math.sin(angle) * reach];
  });
  return round(polygon(points), radius * 0.1);
}

/** A moon: a disc without another one. */
export function crescent(x: number, y: number, radius: number): Figure {
  const disc = circle(x, y, radius);
  const bite = circle(x + radius * 0.5, y - radius * 0.18, radius * 0.85);
  return { shape: (px, py) => Math.max(disc.shape(px, py), -bite.shape(px, py)), box: disc.box };
}

export function union(...figures: readonly Figure[]): Figure {
  return {
    shape: (x, y) => Math.min(...figures.map((figure) => figure.shape(x, y))),
    box: {
      left: Math.min(...figures.map(({ box }) => box.left)),
      top: Math.min(...figures.map(({ box }) => box.top)),
      right: Math.max(...figures.map(({ box }) => box.right)),
      bottom: Math.max(...figures.map(({ box }) => box.bottom)),
    },
  };
}

/** Grows a figure by `by`, which rounds its corners. */
function round(figure: Figure, by: number): Figure {
  const { left, top, right, bottom } = figure.box;
  return {
    shape: (x, y) => figure.shape(x, y) - by,
    box: { left: left - by, top: top - by, right: right + by, bottom: bottom + by },
  };
}

/** `size` 1 is 200 units wide. */
export function cloud(x: number, y: number, size: number): Figure {
  return union(
    ellipse(x, y + 18 * size, 96 * size, 30 * size),
    circle(x - 38 * size, y, 36 * size),
    circle(x + 10 * size, y - 16 * size, 46 * size),
    circle(x + 56 * size, y + 6 * size, 30 * size),
  );
}

export function heart(x: number, y: number): Figure {
  return union(
    circle(x - 11, y - 6, 13),
    circle(x + 11, y - 6, 13),
    polygon([
      [x - 23, y - 1],
      [x + 23, y - 1],
      [x, y + 25],
    ]),
  );
}
