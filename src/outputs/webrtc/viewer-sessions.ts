import { randomUUID } from 'node:crypto';
import type { Refusal } from '../../core/remaking.ts';
import type { Viewer } from './viewer.ts';

/** As `GET /api/webrtc?id=` tells it. */
export interface ViewerState {
  readonly quality: string;
  readonly auto: boolean;
  readonly choices: readonly string[];
  /** Tracks that the viewer asked for and doesn't get, with the reason and what would give them. */
  readonly notices: readonly Refusal[];
}

/** Viewers that came by HTTP, by the id in the `Location` of their answer, which nobody else can guess. */
export class ViewerSessions {
  readonly #viewers = new Map<string, Viewer>();

  /** Until it leaves. Returns the id. */
  add(viewer: Viewer): string {
    const id = randomUUID();
    this.#viewers.set(id, viewer);
    void viewer.ended.then(() => this.#viewers.delete(id));
    return id;
  }

  get(id: string): Viewer | undefined {
    return this.#viewers.get(id);
  }
}

export function viewerState({ picture, refused }: Viewer): ViewerState {
  return { ...(picture?.state ?? { quality: '', auto: false, choices: [] }), notices: refused };
}
