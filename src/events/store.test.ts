import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cameraEvent, later } from '../../testkit/events.ts';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { waitFor } from '../../testkit/wait.ts';
import { Scope } from '../core/scope.ts';
import { EventFiles } from './files.ts';
import { MemoryRepository } from './memory-repository.ts';
import type { EventRepository, StoredEvent } from './repository.ts';
import { applyRetention } from './retention.ts';
import { openSqlite } from './sqlite-repository.ts';
import { SqliteThread } from './sqlite-thread.ts';
import { EventStore } from './store.ts';

const MIB = 1024 * 1024;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearthcam-events-'));
});
after(() => rm(folder, { recursive: true, force: true }));

function makeStore(open: () => Promise<EventRepository>, exists = (): boolean => true) {
  const log = new MemoryLog();
  const scope = new Scope('test');
  const store = new EventStore({ log, scope, open, exists, retryMs: 20 });
  return { log, store, scope, [Symbol.asyncDispose]: () => scope.close() };
}

function stored(startMs: number, more: Partial<StoredEvent> = {}): StoredEvent {
  const { state: _state, ...event } = cameraEvent({ startMs });
  return { ...event, ended: true, changedMs: startMs, levels: [], clipBytes: null, snapshotBytes: null, ...more };
}

for (const kind of ['sqlite', 'memory'] as const) {
  test(`${kind}: filters, pages and changes`, async () => {
    const path = join(folder, 'filters.db');
    const repository = kind === 'sqlite' ? await openSqlite(path, MIB, new MemoryLog()) : new MemoryRepository(1_000);
    const events = Array.from({ length: 10 }, (_, index) =>
      stored(1_700_000_000_000 + index * 1_000, {
        camera: index % 2 === 0 ? 'nursery' : 'O\'Brien "1"',
        detection: index < 5 ? 'cry' : 'bark',
        ended: index !== 9,
        clipBytes: index === 3 ? 1_000 : null,
      }),
    );
    await repository.save(events);
    const ids = (list: readonly StoredEvent[]) => list.map(({ id }) => events.findIndex((event) => event.id === id));
    assert.deepEqual(ids(await repository.list({ limit: 3 })), [9, 8, 7]);
    assert.deepEqual(ids(await repository.list({ limit: 3, beforeId: events[7]?.id })), [6, 5, 4]);
    assert.deepEqual(ids(await repository.list({ limit: 9, cameras: ['O\'Brien "1"'], detections: ['cry'] })), [3, 1]);
    assert.deepEqual(ids(await repository.list({ limit: 9, cameras: [] })), kind === 'sqlite' ? [] : []);
    const [fromMs, toMs] = [1_700_000_002_000, 1_700_000_004_000];
    assert.deepEqual(ids(await repository.list({ limit: 9, fromMs, toMs })), [4, 3, 2]);
    assert.deepEqual(ids(await repository.changedAfter(1_700_000_006_000, 9)), [7, 8, 9]);
    assert.equal(await repository.lastChangeMs(), 1_700_000_009_000);
    assert.deepEqual(ids(await repository.open()), [9]);
    assert.deepEqual(ids(await repository.withFiles(9)), [3]);
    assert.equal(await repository.bytesOfFiles(), 1_000);
    assert.deepEqual(await repository.get(events[3]?.id ?? ''), events[3]);
    assert.equal(await repository.get('x'), undefined);
    await repository.save([stored(0, { ...events[3], durationMs: 7_000, scores: [0.5, 0.25] })]);
    assert.equal((await repository.get(events[3]?.id ?? ''))?.durationMs, 7_000);
    await repository.delete([events[0]?.id ?? '', events[1]?.id ?? '']);
    assert.deepEqual(ids(await repository.oldest(2)), [2, 3]);
    await repository.close();
  });
}

test('events survive a restart; one that was going on when the program died is ended at the next start', async () => {
  const path = join(folder, 'restart.db');
  const log = new MemoryLog();
  const first = await openSqlite(path, MIB, log);
  const whole = stored(1_700_000_000_000);
  const cut = stored(1_700_000_100_000, { ended: false, durationMs: 12_000 });
  await first.save([whole, cut]);
  await first.close();
  await using run = makeStore(() => openSqlite(path, MIB, log));
  const [newest, oldest] = await run.store.list({ limit: 10 });
  assert.equal(newest?.id, cut.id);
  assert.equal(newest?.ended, true);
  assert.equal(newest?.durationMs, 12_000);
  assert.deepEqual(oldest, whole);
  // An event of the new run that lasts is not touched.
  const event = cameraEvent();
  run.store.record(event);
  await run.store.flush();
  assert.equal((await run.store.get(event.id))?.ended, false);
});

test('an event is there at once, and written in a batch with its curve and loudness', async () => {
  const repository = await openSqlite(join(folder, 'batch.db'), MIB, new MemoryLog());
  await using run = makeStore(() => Promise.resolve(repository));
  const changes: string[] = [];
  run.store.onChange((_event, change) => changes.push(change));
  const event = cameraEvent({ startMs: 1_700_000_001_000, scoresFromMs: 1_700_000_000_000 });
  for (const [second, dba] of [-60, -30, -20].entries()) {
    run.store.addLevel({ camera: 'nursery', atMs: 1_700_000_000_500 + second * 1_000, dbfs: dba, dba });
  }
  run.store.record(event);
  assert.equal((await run.store.get(event.id))?.ended, false);
  await run.store.setFiles(event.id, { snapshotBytes: 5_000 });
  run.store.record(later(event, 'ended', 9_000));
  await run.store.flush();
  const kept = await repository.get(event.id);
  assert.deepEqual([kept?.ended, kept?.durationMs, kept?.snapshotBytes], [true, 9_000, 5_000]);
  assert.deepEqual(kept?.scores, [0.1, 0.7, 0.9]);
  assert.deepEqual(kept?.levels, [-60, -30, -20]);
  assert.deepEqual(changes, ['started', 'files', 'ended']);
  const [first, second] = await run.store.changedAfter(0, 10);
  assert.equal(first?.id, event.id);
  assert.equal(second, undefined);
});

test('nothing is opened to find nothing', async () => {
  let opened = 0;
  await using run = makeStore(
    () => {
      opened++;
      return Promise.resolve(new MemoryRepository(10));
    },
    () => false,
  );
  assert.deepEqual(await run.store.list({ limit: 10 }), []);
  assert.equal(await run.store.get('x'), undefined);
  await run.store.delete(['x']);
  assert.equal(opened, 0);
});

test('a full disk is said once, events stay in memory, and are written when there is room again', async () => {
  const path = join(folder, 'full.db');
  const log = new MemoryLog();
  // SQLite fails at its limit of pages just as it does on a full disk (SQLITE_FULL).
  let pages = 60_000;
  await using run = makeStore(() => openSqlite(path, pages, log));
  const events = Array.from({ length: 40 }, (_, index) =>
    cameraEvent({ startMs: 1_700_000_000_000 + index, scores: Array.from({ length: 600 }, () => 0.123) }),
  );
  for (const event of events) run.store.record(event);
  await waitFor(() => run.log.find('error', /events can't be stored: .*full/).length > 0);
  await waitFor(async () => (await run.store.list({ limit: 100 })).length === 40);
  for (const event of events) run.store.record(later(event, 'ended', 1_000));
  await run.store.flush();
  await run.store.flush();
  assert.equal(run.log.find('error', /can't be stored/).length, 1);
  pages = MIB;
  // The owner made room: an old connection keeps its limit, so the server is started again, too.
  await run.scope.close();
  await using again = makeStore(() => openSqlite(path, pages, log));
  for (const event of events) again.store.record(later(event, 'ended', 1_000));
  assert.equal(await again.store.flush(), true);
  assert.equal((await again.store.list({ limit: 100 })).length, 40);
});

test('while nothing can be opened a bounded number is kept, and all goes on once it can', async () => {
  let broken = true;
  const repository = new MemoryRepository(1_000);
  await using run = makeStore(() =>
    broken ? Promise.reject(new Error('attempt to write a readonly database')) : Promise.resolve(repository),
  );
  for (let index = 0; index < 620; index++) run.store.record(cameraEvent({ startMs: 1_700_000_000_000 + index }));
  await waitFor(() => run.log.find('error', /readonly/).length === 1);
  const kept = await run.store.list({ limit: 1_000 });
  assert.equal(kept.length, 500);
  assert.equal(kept[0]?.startMs, 1_700_000_000_619);
  broken = false;
  await waitFor(() => run.log.find('info', /stored again, but 120 were given up/).length === 1);
  assert.equal((await repository.list({ limit: 1_000 })).length, 500);
  assert.equal(run.log.find('error', /./).length, 1);
});

test('a store whose thread has died is opened anew, and nothing is lost', async () => {
  const path = join(folder, 'died.db');
  const opened: { dies: boolean }[] = [];
  await using run = makeStore(async () => {
    const repository = await openSqlite(path, MIB, new MemoryLog());
    const life = { dies: false };
    opened.push(life);
    // What is left of a repository whose thread was ended from outside.
    const dead = (): never => {
      throw new Error('the worker has ended');
    };
    return new Proxy(repository, {
      get: (target, key) => {
        if (key === 'lost') return life.dies;
        if (life.dies && key !== 'close') return dead;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  });
  const [first, second] = [cameraEvent(), cameraEvent()];
  run.store.record(first);
  assert.equal(await run.store.flush(), true);
  for (const life of opened) life.dies = true;
  run.store.record(second);
  assert.equal(await run.store.flush(), true);
  assert.equal(opened.length, 2);
  assert.deepEqual(new Set((await run.store.list({ limit: 5 })).map(({ id }) => id)), new Set([first.id, second.id]));
});

test('a thread that could not open its file says so to everybody who asks', async () => {
  const thread = new SqliteThread(join(folder, 'none', 'x.db'), 100);
  await assert.rejects(thread.opened(), /unable to open/);
  assert.equal(thread.failed, true);
  await assert.rejects(thread.run('select 1', []), /unable to open/);
  await thread.close();
});

test('a file that is no database is put aside, and a new one begun', async () => {
  const path = join(folder, 'broken.db');
  await writeFile(path, 'this is not a database at all'.repeat(500));
  const log = new MemoryLog();
  const repository = await openSqlite(path, MIB, log);
  await repository.save([stored(1)]);
  assert.equal((await repository.list({ limit: 5 })).length, 1);
  await repository.close();
  assert.equal(log.find('error', /put aside/).length, 1);
  assert.ok((await readdir(folder)).some((name) => name.startsWith('broken.db.broken-')));
});

test('a folder that can not be written is an error that says so', async () => {
  const path = join(folder, 'no', 'such', 'folder', 'events.db');
  await assert.rejects(() => openSqlite(path, MIB, new MemoryLog()), /unable to open/);
});

test('the oldest give way: events by age and room, clips by room, one that lasts never', async () => {
  const data = join(folder, 'retention');
  await mkdir(join(data, 'events', 'clips'), { recursive: true });
  await chmod(data, 0o700);
  const files = new EventFiles(data);
  const repository = await openSqlite(join(data, 'events', 'events.db'), 8 * MIB, new MemoryLog());
  const now = 1_700_000_000_000;
  const day = 86_400_000;
  const ancient = stored(now - 40 * day);
  const lasting = stored(now - 41 * day, { ended: false });
  const withClips = [3, 2, 1].map((age) => stored(now - age * day, { clipBytes: 600_000, snapshotBytes: 1_000 }));
  for (const { id } of withClips) await writeFile(files.clip(id), 'clip');
  await repository.save([ancient, lasting, ...withClips]);
  const limits = { keepMs: 30 * day, maxBytes: MIB, maxFileBytes: 1_300_000 };
  await applyRetention(repository, files, limits, now);
  const left = await repository.list({ limit: 10 });
  assert.deepEqual(
    left.map(({ startMs, clipBytes }) => [(now - startMs) / day, clipBytes]),
    [
      [1, 600_000],
      [2, 600_000],
      [3, null],
      [41, null],
    ],
  );
  assert.equal((await readdir(files.folder)).length, 2);
  const large = Array.from({ length: 500 }, (_, index) =>
    stored(now + index, { scores: Array.from({ length: 1_200 }, () => 0.123) }),
  );
  await repository.save(large);
  assert.ok((await repository.bytes()) > MIB);
  await applyRetention(repository, files, limits, now);
  assert.ok((await repository.bytes()) <= MIB);
  const newest = await repository.list({ limit: 1 });
  assert.equal(newest[0]?.startMs, now + 499);
  await repository.close();
});

test('clips that a crash cut off are given their name', async () => {
  const data = join(folder, 'rescue');
  const files = new EventFiles(data);
  await files.ready();
  const [cut, empty, running] = [cameraEvent().id, cameraEvent().id, cameraEvent().id];
  await writeFile(files.part(cut), 'half a clip');
  await writeFile(files.part(empty), '');
  await writeFile(files.part(running), 'a clip');
  await writeFile(join(files.folder, '../../passwd.part'), 'not ours');
  assert.deepEqual(await files.rescue((id) => id === running), [{ id: cut, bytes: 11 }]);
  assert.deepEqual((await readdir(files.folder)).sort(), [`${cut}.mp4`, `${running}.part`].sort());
  assert.throws(() => files.clip('../../etc/passwd'), /no event's id/);
});
