import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Env, OutputModule } from '../core/contracts.ts';
import { makeDataFolder } from '../core/data-folder.ts';
import { describeError } from '../core/errors.ts';
import type { Ears } from '../core/events.ts';
import type { Scope } from '../core/scope.ts';
import { mountEvents } from './api.ts';
import { Clips } from './clips/clips.ts';
import { EventFiles } from './files.ts';
import { LiveEvents } from './live.ts';
import { MemoryRepository } from './memory-repository.ts';
import type { EventRepository } from './repository.ts';
import { applyRetention } from './retention.ts';
import { type EventsSettings, eventsSchema } from './settings.ts';
import { EventStore } from './store.ts';

const MIB = 1024 * 1024;
const DAY_MS = 24 * 3_600_000;
const RETENTION_MS = 3_600_000;
/** Between two looks at who listens now. */
const EARS_MS = 2_000;
/** For a server without a folder. */
const MAX_EVENTS_IN_MEMORY = 1_000;

/** The store of events with its API, and their clips. Nothing is opened before there is something to keep or to look up. */
export const events: OutputModule<EventsSettings> = {
  name: 'events',
  config: { key: 'events', schema: eventsSchema },
  start(env: Env, settings: EventsSettings, scope: Scope): void {
    const { log, dataDir } = env;
    const path = dataDir === null ? null : join(dataDir, 'events', 'events.db');
    const files = dataDir === null ? null : new EventFiles(dataDir);
    const own = scope.child('events');
    let inMemory = false;

    const open = async (): Promise<EventRepository> => {
      if (dataDir === null || path === null) {
        inMemory = true;
        return new MemoryRepository(MAX_EVENTS_IN_MEMORY);
      }
      await makeDataFolder(dataDir, 'events');
      const { openSqlite } = await import('./sqlite-repository.ts');
      // Beyond twice its room something is wrong with letting old ones go: it must not fill the disk.
      return openSqlite(path, settings.max_mib * MIB * 2, log);
    };
    const store = new EventStore({
      log,
      scope: own,
      open,
      exists: () => inMemory || (path !== null && existsSync(path)),
      onOpened: () => {
        void tidy('clips of the last run', async () => {
          const rescued = (await files?.rescue((id) => clips?.writes(id) === true)) ?? [];
          for (const { id, bytes } of rescued) await store.setFiles(id, { clipBytes: bytes });
        });
        void retain();
      },
    });

    const tidy = async (what: string, work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        if (!own.closed) log.warn(`${what}: ${describeError(error)}`);
      }
    };
    const limits = {
      keepMs: settings.keep_days * DAY_MS,
      maxBytes: settings.max_mib * MIB,
      maxFileBytes: settings.clips.max_mib * MIB,
    };
    let retaining: Promise<void> | undefined;
    const retain = (): Promise<void> => {
      retaining ??= tidy('old events', async () => {
        await applyRetention(await store.repository(), files, limits, Date.now());
      }).finally(() => {
        retaining = undefined;
      });
      return retaining;
    };
    own.every(RETENTION_MS, () => {
      if (path === null || existsSync(path)) void retain();
    });

    const clips =
      files === null || !settings.clips.enabled
        ? null
        : new Clips({ env, store, files, settings: settings.clips, log, scope: own, onFile: () => void retain() });
    own.defer(env.events.onEvent((event) => store.record(event)));
    own.defer(env.events.onLevel((level) => store.addLevel(level)));
    if (clips !== null) own.defer(env.events.onEvent((event) => clips.onEvent(event)));
    followEars(env, own, (cameras) => {
      store.levels.keepOnly(cameras);
      clips?.watch(cameras);
      // Events that a crash cut off are ended as soon as new ones may come.
      if (cameras.size > 0 && path !== null && existsSync(path)) void tidy('events', async () => void (await retain()));
    });

    mountEvents({ env, store, files, live: new LiveEvents({ store, log, scope: own }) });
  },
};

/** Calls with the cameras that are listened to, whenever these change. Who listens may begin to later than this. */
function followEars(env: Env, scope: Scope, onChange: (cameras: ReadonlySet<string>) => void): void {
  let known = '';
  let followed: Ears | null = null;
  let stop = (): void => {};
  const look = (): void => {
    if (scope.closed) return;
    const { ears } = env.events;
    if (ears !== followed) {
      stop();
      followed = ears;
      stop = ears?.onChange(look) ?? (() => {});
    }
    const cameras = new Set((ears?.all() ?? []).filter((ear) => ear.listening).map((ear) => ear.camera));
    const key = [...cameras].sort().join('\n');
    if (key === known) return;
    known = key;
    onChange(cameras);
  };
  scope.defer(() => stop());
  scope.every(EARS_MS, look);
}
