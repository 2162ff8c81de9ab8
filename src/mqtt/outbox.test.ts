import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { MemoryLog } from '../../testkit/memory-log.ts';
import { cameraEvent } from '../../testkit/mqtt-bench.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { CameraEvent } from '../core/events.ts';
import { eventMessage } from '../core/events.ts';
import type { Session } from './connection.ts';
import { Outbox, type OutboxOptions } from './outbox.ts';
import { Topics } from './topics.ts';

/** A broker that confirms when the test says so. */
class TestSession implements Session {
  closed = false;
  readonly published: { topic: string; payload: string }[] = [];
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #confirmsAtOnce: boolean;

  constructor(confirmsAtOnce = true) {
    this.#confirmsAtOnce = confirmsAtOnce;
  }

  publish(topic: string, payload: string | Buffer): Promise<void> {
    this.published.push({ topic, payload: payload.toString() });
    if (this.#confirmsAtOnce) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  confirm(count: number): void {
    for (const { resolve } of this.#waiting.splice(0, count)) resolve();
  }

  close(): void {
    this.closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('lost'));
  }

  /** `id state` of what came on the topic of all events, with a mark for what is late. */
  get events(): readonly string[] {
    return this.published.flatMap(({ topic, payload }) => {
      if (topic !== 'hearthcam/events') return [];
      const { id, state, late } = JSON.parse(payload);
      return [`${id} ${state}${late === true ? ' late' : ''}`];
    });
  }
}

const topics = new Topics('hearthcam', 'homeassistant');

describe('events that wait for the broker', () => {
  let directory: string;
  let path: string;
  let log: MemoryLog;
  let nowMs: number;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearthcam-outbox-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));
  let count = 0;
  beforeEach(() => {
    path = join(directory, `${++count}.jsonl`);
    log = new MemoryLog();
    nowMs = 1_000_000;
  });

  const open = async (over: Partial<OutboxOptions> = {}): Promise<Outbox> => {
    const outbox = new Outbox({ topics, log, path, nowMs: () => nowMs, ...over });
    await outbox.load();
    return outbox;
  };
  const put = (outbox: Outbox, id: string, state: CameraEvent['state'] = 'started'): void =>
    outbox.put(eventMessage(cameraEvent({ id, state })));
  const drained = (outbox: Outbox) => waitFor(() => outbox.size === 0, { what: 'an empty queue' });

  test('are delivered in order when it returns, marked late, and are gone then', async () => {
    const outbox = await open();
    for (const id of ['a', 'b', 'c']) put(outbox, id);
    nowMs += 60_000;
    const session = new TestSession();
    outbox.attach(session);
    await drained(outbox);
    assert.deepEqual(session.events, ['a started late', 'b started late', 'c started late']);
    put(outbox, 'd');
    await drained(outbox);
    assert.equal(session.events.at(-1), 'd started');
    await outbox.close();
    assert.equal((await open()).size, 0);
  });

  test('survive a restart of the server', async () => {
    const first = await open();
    put(first, 'a');
    put(first, 'a', 'ended');
    await first.close();
    nowMs += 3_600_000;
    const second = await open();
    const session = new TestSession();
    second.attach(session);
    put(second, 'b');
    await drained(second);
    assert.deepEqual(session.events, ['a started late', 'a ended late', 'b started']);
    assert.deepEqual(log.find('info', /2 events of the last run still wait/).length, 1);
    await second.close();
  });

  test('of one event only beginning and end wait, and the newest update while it lasts', async () => {
    const outbox = await open();
    put(outbox, 'a');
    put(outbox, 'a', 'updated');
    put(outbox, 'b');
    put(outbox, 'a', 'updated');
    assert.equal(outbox.size, 3);
    put(outbox, 'a', 'ended');
    assert.equal(outbox.size, 3);
    const session = new TestSession();
    outbox.attach(session);
    await drained(outbox);
    assert.deepEqual(session.events, ['a started', 'b started', 'a ended']);
    await outbox.close();
  });

  test('are only forgotten when all that is told about them is confirmed, whenever the broker dies', async () => {
    for (const confirmed of [0, 1, 2, 3, 4, 5, 6]) {
      const outbox = await open();
      put(outbox, 'a');
      put(outbox, 'b');
      const dying = new TestSession(false);
      outbox.attach(dying);
      assert.equal(dying.published.length, 6);
      dying.confirm(confirmed);
      await new Promise((resolve) => setImmediate(resolve));
      dying.close();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(outbox.size, 2 - Math.floor(confirmed / 3));
      const session = new TestSession();
      outbox.attach(session);
      await drained(outbox);
      // What was confirmed is not said twice.
      assert.equal(session.published.length, 6 - confirmed);
      await outbox.close();
    }
  });

  test('are bounded in number and in bytes: the oldest go, and the log says so', async () => {
    const outbox = await open({ maxEntries: 3 });
    for (const id of ['a', 'b', 'c', 'd', 'e']) put(outbox, id);
    assert.equal(outbox.size, 3);
    assert.equal(log.find('warn', /too many events wait/).length, 1);
    await outbox.close();
    const session = new TestSession();
    const bytes = await open({ maxBytes: 400 });
    bytes.attach(session);
    await drained(bytes);
    assert.deepEqual(session.events, ['d started', 'e started']);
    await bytes.close();
  });

  test('do not let their file grow', async () => {
    const outbox = await open();
    const session = new TestSession();
    outbox.attach(session);
    for (let index = 0; index < 2_000; index++) {
      put(outbox, `e${index}`, index % 2 === 0 ? 'started' : 'ended');
      if (index % 50 === 0) await outbox.settle();
    }
    await drained(outbox);
    await outbox.settle();
    const { size, mode } = await stat(path);
    assert.ok(size < 200_000, `${size} bytes`);
    assert.equal(mode & 0o777, 0o600);
    await outbox.close();
  });

  test('are read from a file that was damaged or cut off, as far as it goes', async () => {
    const first = await open();
    put(first, 'a');
    put(first, 'b');
    await first.close();
    const whole = await readFile(path, 'utf8');
    await writeFile(path, `\u0000\u0000\n{"no":1}\n[1]x\n[7,"{}"]\n${whole.slice(0, -20)}`);
    const second = await open();
    assert.equal(second.size, 1);
    assert.equal(log.find('warn', /5 lines .* made no sense/).length, 1);
    put(second, 'c');
    await second.close();
    const third = await open();
    const session = new TestSession();
    third.attach(session);
    await drained(third);
    assert.deepEqual(session.events, ['a started', 'c started']);
    await third.close();
  });

  test('are kept in memory when the disk is full, and on disk again when it is not', async () => {
    await symlink('/dev/full', path);
    const outbox = await open({ retryMs: 20 });
    put(outbox, 'a');
    await outbox.settle();
    assert.match(log.text, /error .*can't be kept in .*ENOSPC/);
    put(outbox, 'b');
    await new Promise((resolve) => setTimeout(resolve, 30));
    // The new file takes the place of the one that can't be written.
    put(outbox, 'c');
    await outbox.close();
    assert.equal(log.find('error', /can't be kept/).length, 1);
    assert.equal(log.find('info', /are kept in .* again/).length, 1);
    const session = new TestSession();
    const next = await open();
    next.attach(session);
    await drained(next);
    assert.deepEqual(session.events, ['a started', 'b started', 'c started']);
    await next.close();
  });

  test('are delivered all the same when their folder can not be used', async () => {
    const file = join(directory, `${++count}`);
    await writeFile(file, '');
    await mkdir(`${file}.d.jsonl`);
    for (const unusable of [join(file, 'outbox.jsonl'), `${file}.d.jsonl`]) {
      log = new MemoryLog();
      const outbox = await open({ path: unusable });
      put(outbox, 'a');
      put(outbox, 'b');
      await outbox.settle();
      const session = new TestSession();
      outbox.attach(session);
      await drained(outbox);
      assert.deepEqual(session.events, ['a started', 'b started']);
      assert.equal(log.find('error', /can't be kept/).length, 1, log.text);
      await outbox.close();
    }
  });
});
