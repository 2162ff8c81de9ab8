type Picture = HTMLVideoElement | HTMLCanvasElement;

/**
 * The pictures lying on one another: the shown one on top, those that are still coming beneath it. One is taken away
 * only when its successor has been painted, so that there is never a black moment.
 */
export class Stage {
  readonly element = document.createElement('div');
  readonly #layers = new Map<number, Picture>();
  #shown: number | null = null;

  constructor() {
    this.element.className = 'stage';
  }

  get shown(): Picture | null {
    return this.#shown === null ? null : (this.#layers.get(this.#shown) ?? null);
  }

  /** Lays a picture beneath the shown one. */
  add(id: number, picture: Picture): void {
    picture.classList.add('picture');
    this.#layers.set(id, picture);
    this.element.prepend(picture);
  }

  show(id: number): void {
    const picture = this.#layers.get(id);
    if (picture === undefined || this.#shown === id) return;
    const old = this.#shown;
    this.#shown = id;
    for (const [other, layer] of this.#layers) layer.classList.toggle('shown', other === id || other === old);
    picture.classList.add('top');
    if (old === null) return;
    const oldPicture = this.#layers.get(old);
    this.#layers.delete(old);
    if (oldPicture !== undefined) {
      oldPicture.classList.remove('top');
      // Two frames: one to lay it out, one to paint it. In a page that isn't drawn none come, nor does it matter there.
      afterFrames(2, () => discard(oldPicture));
    }
  }

  /** The shown picture stays: it is what the viewer has until there is a new one. */
  remove(id: number): void {
    if (id === this.#shown) return;
    const picture = this.#layers.get(id);
    this.#layers.delete(id);
    if (picture !== undefined) discard(picture);
  }

  clear(): void {
    for (const picture of this.#layers.values()) discard(picture);
    this.#layers.clear();
    this.#shown = null;
  }
}

/** Takes it out of the page and lets go of decoder and buffers, which otherwise live until the garbage collection. */
function discard(picture: Picture): void {
  picture.remove();
  if (!(picture instanceof HTMLVideoElement)) return;
  picture.srcObject = null;
  picture.removeAttribute('src');
  picture.load();
}

function afterFrames(count: number, work: () => void): void {
  if (count === 0 || document.visibilityState === 'hidden') work();
  else requestAnimationFrame(() => afterFrames(count - 1, work));
}
