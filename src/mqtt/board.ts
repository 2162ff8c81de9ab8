import type { Session } from './connection.ts';

/**
 * What is retained at the broker, by topic. A value is published when it changes, all of them in every new session and
 * when Home Assistant was born; the broker's copy is only what was said last. Not queued: the newest value is enough.
 */
export class Board {
  /** An empty value takes the topic away; it is kept until the broker has it. */
  readonly #values = new Map<string, string | Buffer>();
  #session: Session | null = null;

  get topics(): readonly string[] {
    return [...this.#values.keys()];
  }

  set(topic: string, value: string | Buffer): void {
    const before = this.#values.get(topic);
    if (before !== undefined && same(before, value)) return;
    this.#values.set(topic, value);
    this.#publish(topic, value);
  }

  /** Takes a topic away at the broker. */
  clear(topic: string): void {
    if (this.#values.has(topic)) this.set(topic, '');
  }

  /** Takes a topic away that an earlier run has left at the broker. */
  sweep(topic: string): void {
    if (!this.#values.has(topic)) this.set(topic, '');
  }

  /** Published once, before what is `set` for the topic afterwards. */
  announce(topic: string, value: string): void {
    void this.#session?.publish(topic, value, { qos: 1, retain: true }).catch(() => undefined);
  }

  attach(session: Session): void {
    this.#session = session;
    this.publishAll();
  }

  publishAll(): void {
    for (const [topic, value] of this.#values) this.#publish(topic, value);
  }

  #publish(topic: string, value: string | Buffer): void {
    const session = this.#session;
    if (session === null || session.closed) return;
    session.publish(topic, value, { qos: 1, retain: true }).then(
      () => {
        if (value === '' && this.#values.get(topic) === '') this.#values.delete(topic);
      },
      // The session is over; the next one publishes everything.
      () => undefined,
    );
  }
}

function same(a: string | Buffer, b: string | Buffer): boolean {
  return typeof a === 'string' || typeof b === 'string' ? a === b : a.equals(b);
}
