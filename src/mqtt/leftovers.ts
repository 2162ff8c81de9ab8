import { z } from 'zod';
import type { Board } from './board.ts';
import type { Topics } from './topics.ts';

const ours = z.object({
  origin: z.object({ name: z.literal('Hearthcam') }),
  availability: z.array(z.object({ topic: z.string() })),
  components: z.object({ stream: z.object({ state_topic: z.string() }) }),
});

/** Devices at the broker that an earlier run announced, and whose cameras are no more. */
export class Leftovers {
  readonly #topics: Topics;
  /** Base topic of the camera by topic of discovery. */
  readonly #seen = new Map<string, string>();

  constructor(topics: Topics) {
    this.#topics = topics;
  }

  /** A device's config as the broker has it. */
  take(topic: string, payload: Buffer): void {
    const config = payload.length === 0 ? null : ours.safeParse(jsonOf(payload));
    const { prefix, status } = this.#topics;
    const base = config?.data?.components.stream.state_topic.replace(/\/state$/, '');
    const mine = config?.data?.availability[0]?.topic === status && base?.startsWith(`${prefix}/`) === true;
    if (mine && base !== undefined) this.#seen.set(topic, base);
    else this.#seen.delete(topic);
  }

  /** Takes away all but those of the cameras that are. */
  sweep(board: Board, cameras: readonly string[]): void {
    const present = new Set(cameras.map((camera) => this.#topics.discovery(camera)));
    for (const [topic, base] of this.#seen) {
      if (present.has(topic)) continue;
      board.sweep(topic);
      for (const own of ['state', 'available', 'listening', 'sensitivity', 'snapshot']) board.sweep(`${base}/${own}`);
    }
    this.#seen.clear();
  }
}

function jsonOf(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
}
