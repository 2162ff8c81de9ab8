import type { EventFiles } from './files.ts';
import type { EventRepository, StoredEvent } from './repository.ts';

export interface Limits {
  readonly keepMs: number;
  /** Of the table of events. */
  readonly maxBytes: number;
  /** Of clips and snapshots. */
  readonly maxFileBytes: number;
}

const AT_ONCE = 50;

/**
 * Lets the oldest events go that are too old or too many, and the oldest clips that are too large together: their
 * events stay. One that lasts is never touched.
 */
export async function applyRetention(
  repository: EventRepository,
  files: EventFiles | null,
  limits: Limits,
  nowMs: number,
): Promise<void> {
  for (;;) {
    const oldest = (await repository.oldest(AT_ONCE)).filter((event) => event.ended);
    const tooLarge = (await repository.bytes()) > limits.maxBytes;
    const gone = oldest.filter((event) => tooLarge || event.startMs + event.durationMs < nowMs - limits.keepMs);
    if (gone.length === 0) break;
    for (const { id } of gone) await files?.remove(id);
    await repository.delete(gone.map(({ id }) => id));
  }
  if (files === null) return;
  let bytes = await repository.bytesOfFiles();
  while (bytes > limits.maxFileBytes) {
    const freed: StoredEvent[] = [];
    for (const event of await repository.withFiles(AT_ONCE)) {
      if (bytes <= limits.maxFileBytes) break;
      if (!event.ended) continue;
      await files.remove(event.id);
      bytes -= (event.clipBytes ?? 0) + (event.snapshotBytes ?? 0);
      freed.push({ ...event, clipBytes: null, snapshotBytes: null });
    }
    if (freed.length === 0) break;
    await repository.save(freed);
  }
}
