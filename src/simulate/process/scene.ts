import type { Canvas } from './canvas.ts';

/** Scenes are drawn on a stage of so many design units, whatever the size of the picture. */
export const STAGE_WIDTH = 1280;
export const STAGE_HEIGHT = 720;

/** Something that moves: drawn once, then put where it is. */
export interface SpriteDesign {
  readonly width: number;
  readonly height: number;
  draw(canvas: Canvas): void;
}

/** Puts a sprite with its upper left corner at a place of the stage. */
export type Put = (sprite: number, left: number, top: number) => void;

export interface Scene {
  paint(canvas: Canvas): void;
  readonly sprites: readonly SpriteDesign[];
  /** Where everything is at a time, from the back to the front. */
  place(seconds: number, put: Put): void;
}
