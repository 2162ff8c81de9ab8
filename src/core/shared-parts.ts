interface Held {
  readonly value: Disposable;
  users: number;
}

/** Things that several users share by key: made for the first one, disposed of with the last. */
export class SharedParts {
  readonly #held = new Map<string, Held>();

  /** Releasing twice is harmless. */
  take<T extends Disposable>(key: string, make: () => T): { value: T; release: () => void } {
    let entry = this.#held.get(key);
    if (entry === undefined) {
      entry = { value: make(), users: 0 };
      this.#held.set(key, entry);
    }
    entry.users++;
    const held = entry;
    let released = false;
    return {
      // The key names the kind: two kinds under one key are a programming error that the outputs' tests would show.
      value: held.value as T,
      release: () => {
        if (released) return;
        released = true;
        held.users--;
        if (held.users > 0) return;
        if (this.#held.get(key) === held) this.#held.delete(key);
        held.value[Symbol.dispose]();
      },
    };
  }
}
