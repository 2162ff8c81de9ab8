import type { VideoTarget } from '../../core/targets.ts';

/** How a picture is turned, and then mirrored from left to right: every way to put a rectangle on itself is one such. */
export interface Turn {
  /** Clockwise. */
  readonly degrees: 0 | 90 | 180 | 270;
  readonly mirrored: boolean;
}

export const UPRIGHT: Turn = { degrees: 0, mirrored: false };

export function isUpright({ degrees, mirrored }: Turn): boolean {
  return degrees === 0 && !mirrored;
}

/** Turns what has been turned already. @param degrees any multiple of 90 */
export function rotate(turn: Turn, degrees: number): Turn {
  // In a mirror a turn to the right is one to the left.
  const sum = turn.degrees + (turn.mirrored ? -degrees : degrees);
  const quarter = (((sum / 90) % 4) + 4) % 4;
  return { degrees: ([0, 90, 180, 270] as const)[quarter] ?? 0, mirrored: turn.mirrored };
}

export function mirror(turn: Turn, how: 'horizontal' | 'vertical'): Turn {
  // Upside down is half a turn and a mirror.
  const from = how === 'vertical' ? rotate(turn, 180) : turn;
  return { degrees: from.degrees, mirrored: !from.mirrored };
}

/** Whether width and height of the result are those of the source the other way round. */
export function isSideways(turn: Turn): boolean {
  return turn.degrees === 90 || turn.degrees === 270;
}

export function turnOf(target: Pick<VideoTarget, 'rotate' | 'flip'>): Turn {
  const turned = rotate(UPRIGHT, target.rotate ?? 0);
  return target.flip === undefined ? turned : mirror(turned, target.flip);
}

/** As a target says it. */
export function targetTurn({ degrees, mirrored }: Turn): Pick<VideoTarget, 'rotate' | 'flip'> {
  if (!mirrored) return degrees === 0 ? {} : { rotate: degrees };
  switch (degrees) {
    case 0:
      return { flip: 'horizontal' };
    case 90:
      return { rotate: 90, flip: 'horizontal' };
    case 180:
      return { flip: 'vertical' };
    case 270:
      return { rotate: 90, flip: 'vertical' };
    default:
      return degrees satisfies never;
  }
}
