import { existsSync } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDataFolder } from '../core/data-folder.ts';

/** As `newEventId` makes them: nothing else becomes the name of a file. */
const ID = /^[0-9a-z]{9,12}-[A-Za-z0-9_-]{8}$/;

export function isEventId(text: string): boolean {
  return ID.test(text);
}

const FOLDER = join('events', 'clips');

/** Clips and snapshots: `<data>/events/clips/<event>.mp4` and `.jpeg`. */
export class EventFiles {
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  get folder(): string {
    return join(this.#dataDir, FOLDER);
  }

  clip(id: string): string {
    return this.#path(id, 'mp4');
  }
  snapshot(id: string): string {
    return this.#path(id, 'jpeg');
  }
  /** A clip that is being written. */
  part(id: string): string {
    return this.#path(id, 'part');
  }

  /** @throws HearthcamError when there can be no folder */
  async ready(): Promise<void> {
    await makeDataFolder(this.#dataDir, FOLDER);
  }

  async remove(id: string): Promise<void> {
    await Promise.all([this.clip(id), this.snapshot(id), this.part(id)].map((path) => rm(path, { force: true })));
  }

  /** Clips that were being written when the program ended play up to there: gives them their name, and their sizes. */
  async rescue(
    isWritten: (id: string) => boolean,
  ): Promise<readonly { readonly id: string; readonly bytes: number }[]> {
    if (!existsSync(this.folder)) return [];
    const found: { id: string; bytes: number }[] = [];
    for (const name of await readdir(this.folder)) {
      const id = name.replace(/\.part$/, '');
      if (id === name || !isEventId(id) || isWritten(id)) continue;
      const { size } = await stat(this.part(id));
      if (size === 0) {
        await rm(this.part(id), { force: true });
        continue;
      }
      await rename(this.part(id), this.clip(id));
      found.push({ id, bytes: size });
    }
    return found;
  }

  #path(id: string, ending: string): string {
    if (!isEventId(id)) throw new Error(`"${id}" is no event's id`);
    return join(this.folder, `${id}.${ending}`);
  }
}
