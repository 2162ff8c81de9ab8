import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, DEFAULT_TIMING, Director, type Memory, type Status } from './director.ts';
import { MODES, type Mode } from './modes.ts';
import type { Reason } from './reasons.ts';

const REFUSED: Reason = { kind: 'server', text: 'camera "porch" not reachable' };
const UNREACHABLE: Reason = { kind: 'network', text: 'the server can’t be reached' };
const ENDED: Reason = { kind: 'ended', text: 'the server closed the connection' };

class FakeMemory implements Memory {
  first: Mode | null = null;
  readonly failures: Mode[] = [];
  readonly successes: Mode[] = [];
  order(wanted: readonly Mode[]): readonly Mode[] {
    const { first } = this;
    return first === null ? wanted : [first, ...wanted.filter((mode) => mode !== first)];
  }
  failed(mode: Mode): void {
    this.failures.push(mode);
  }
  worked(mode: Mode): void {
    this.successes.push(mode);
  }
}

/** A page with simulated time: modes that "play" present a picture every 40 ms while time runs. */
class Page {
  nowMs = 0;
  readonly memory = new FakeMemory();
  readonly director: Director;
  readonly log: string[] = [];
  /** What each mode does when it is opened; null: nothing ever comes. */
  readonly behaviour = new Map<Mode, 'play' | 'once' | Reason | null>();
  readonly #open = new Map<number, { mode: Mode; atMs: number; sent: number; silent: boolean }>();
  shown: Mode | null = null;

  constructor(modes: readonly Mode[] = MODES) {
    this.director = new Director(modes, this.memory);
    for (const mode of MODES) this.behaviour.set(mode, 'play');
  }

  get opened(): Mode[] {
    return [...this.#open.values()].map((one) => one.mode);
  }

  start(): this {
    this.do(this.director.start(this.nowMs));
    return this;
  }

  do(actions: readonly Action[]): void {
    for (const action of actions) {
      if (action.kind === 'open') {
        this.#open.set(action.id, { mode: action.mode, atMs: this.nowMs, sent: 0, silent: false });
        this.log.push(`${this.nowMs} open ${action.mode}`);
      } else if (action.kind === 'show') {
        this.shown = action.mode;
        this.log.push(`${this.nowMs} show ${action.mode}`);
      } else {
        const mode = this.#open.get(action.id)?.mode;
        if (this.#open.delete(action.id)) this.log.push(`${this.nowMs} close ${mode}`);
      }
    }
  }

  run(ms: number): this {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs += 40;
      for (const [id, one] of [...this.#open]) {
        if (!this.#open.has(id)) continue;
        const behaviour = this.behaviour.get(one.mode) ?? null;
        const agoMs = this.nowMs - one.atMs;
        if (agoMs < 80 || one.silent) continue;
        if (behaviour === 'play' || (behaviour === 'once' && one.sent === 0)) {
          one.sent++;
          this.do(this.director.frame(id, this.nowMs));
        } else if (behaviour !== null && behaviour !== 'once') {
          this.do(this.director.failed(id, behaviour, this.nowMs));
        }
      }
      if (this.nowMs % 200 === 0) this.do(this.director.tick(this.nowMs));
    }
    return this;
  }

  until(phase: Status['phase']): this {
    const endMs = this.nowMs + 30_000;
    while (this.director.status.phase !== phase && this.nowMs < endMs) this.run(40);
    assert.equal(this.director.status.phase, phase);
    return this;
  }

  /** The server drops the connection of a mode. */
  drop(mode: Mode, reason: Reason = ENDED): this {
    for (const [id, one] of [...this.#open]) {
      if (one.mode === mode) {
        this.#open.delete(id);
        this.do(this.director.failed(id, reason, this.nowMs));
      }
    }
    return this;
  }

  /** What is open now gives nothing any more, and doesn't end. */
  silence(): this {
    for (const one of this.#open.values()) one.silent = true;
    return this;
  }

  all(behaviour: 'play' | 'once' | Reason | null): this {
    for (const mode of MODES) this.behaviour.set(mode, behaviour);
    return this;
  }
}

test('the first mode that works is played and nothing else is opened', () => {
  const page = new Page().start().run(10_000);
  assert.deepEqual(page.log, ['0 open webrtc', '80 show webrtc']);
  assert.equal(page.director.status.phase, 'playing');
});

test('a refused mode is followed by the next at once', () => {
  const page = new Page();
  page.behaviour.set('webrtc', REFUSED);
  page.start().run(1_000);
  assert.deepEqual(page.log, ['0 open webrtc', '80 close webrtc', '80 open mse', '160 show mse']);
});

test('a mode that is slow to connect gets company, and the first picture wins', () => {
  const page = new Page();
  page.behaviour.set('webrtc', null);
  page.start().run(3_000);
  assert.equal(page.shown, 'mse');
  assert.ok(page.log.includes('1600 open mse'), page.log.join());
  assert.deepEqual(page.opened, ['webrtc', 'mse'], 'the better mode may still take over');
});

test('a better mode that connects late takes over from the one that was quicker', () => {
  const page = new Page();
  page.behaviour.set('webrtc', null);
  page.start().run(3_000);
  page.behaviour.set('webrtc', 'play');
  page.run(1_000);
  assert.equal(page.shown, 'webrtc');
  assert.deepEqual(page.opened, ['webrtc']);
  assert.deepEqual(page.memory.failures, []);
});

test('a mode that never gives a picture while another plays is remembered as failed', () => {
  const page = new Page();
  page.behaviour.set('webrtc', null);
  page.start().run(12_000);
  assert.equal(page.shown, 'mse');
  assert.deepEqual(page.memory.failures, ['webrtc']);
  assert.deepEqual(page.memory.successes, ['mse']);
});

test('when everything fails nothing is remembered, the server’s words are shown and it is tried again', () => {
  const page = new Page().all(UNREACHABLE);
  page.behaviour.set('mse', REFUSED);
  page.start().until('waiting');
  assert.equal(page.director.status.reason?.text, REFUSED.text);
  page.run(60_000);
  assert.deepEqual(page.memory.failures, []);
  const rounds = page.log.filter((line) => line.endsWith('open webrtc')).length;
  assert.ok(rounds >= 30 && rounds < 60, `${rounds} rounds in a minute`);
  page.all('play').run(2_000);
  assert.equal(page.shown, 'webrtc');
});

test('after a server’s restart the mode that played comes back first, within two seconds', () => {
  const page = new Page();
  page.behaviour.set('webrtc', REFUSED);
  page.start().run(5_000);
  assert.equal(page.shown, 'mse');
  page.all(UNREACHABLE).drop('mse').run(20_000).until('waiting');
  page.log.length = 0;
  const backMs = page.nowMs;
  page.all('play');
  page.until('playing');
  assert.ok(page.nowMs - backMs <= 2_000, `${page.nowMs - backMs} ms`);
  assert.equal(page.shown, 'mse');
});

test('WebRTC finds out by itself that the server was restarted, though its connection only falls silent', () => {
  const page = new Page(['webrtc']).start().run(5_000);
  // The old connection stays silent for ever, new ones are refused by the network.
  page.silence();
  page.all(UNREACHABLE).run(20_000);
  assert.notEqual(page.director.status.phase, 'playing');
  const backMs = page.nowMs;
  page.all('play').until('playing');
  assert.ok(page.nowMs - backMs <= 2_500, `${page.nowMs - backMs} ms`);
});

test('a camera that the server can’t reach is asked for in one mode only, until it is back', () => {
  const page = new Page()
    .all({ ...REFUSED, everywhere: true })
    .start()
    .run(30_000);
  assert.ok(
    page.log.every((line) => !/mse|hls|mjpeg/.test(line)),
    page.log.join(),
  );
  assert.equal(page.director.status.reason?.text, REFUSED.text);
  page.all('play').until('playing');
  assert.equal(page.shown, 'webrtc');
});

test('a connection that is lost after playing is dialled again at once', () => {
  const page = new Page(['mse']).start().run(5_000).drop('mse');
  assert.deepEqual(page.opened, ['mse']);
});

test('a connection that breaks right after each first picture is not dialled in a tight loop', () => {
  const page = new Page(['mse']).start();
  for (let round = 0; round < 100; round++) page.run(120).drop('mse');
  const dials = page.log.filter((line) => line.endsWith('open mse')).length;
  assert.ok(dials < 30, `${dials} dials in 12 s`);
});

test('a picture that stands still stays while another mode is tried, which must prove itself', () => {
  const page = new Page().start().run(5_000);
  page.behaviour.set('webrtc', null);
  page.run(2_800);
  assert.equal(page.shown, 'webrtc');
  page.run(2_000);
  assert.equal(page.shown, 'mse');
  const opened = page.log.findIndex((line) => line.endsWith('open mse'));
  assert.match(page.log[opened + 1] ?? '', /close webrtc|show mse/);
  page.run(3_000);
  assert.deepEqual(page.memory.failures, ['webrtc']);
});

test('WebRTC is dialled anew beside the standing picture when its server process died', () => {
  const page = new Page().start().run(5_000);
  page.behaviour.set('webrtc', REFUSED);
  // The running connection goes silent without an end; new ones are refused until the process is back.
  const silent = page.opened.length;
  assert.equal(silent, 1);
  page.behaviour.set('webrtc', null);
  page.run(1_400);
  assert.deepEqual(page.opened, ['webrtc', 'webrtc']);
  page.behaviour.set('webrtc', 'play');
  page.run(1_000);
  assert.equal(page.shown, 'webrtc');
  assert.deepEqual(page.memory.failures, []);
});

test('when the camera is gone every mode gives its last picture once: the one shown stays and goes on by itself', () => {
  const page = new Page().start().run(5_000).all('once');
  page.run(30_000);
  assert.equal(page.shown, 'webrtc');
  assert.equal(page.log.filter((line) => line.includes('show')).length, 1, page.log.join());
  assert.equal(page.director.status.reason?.text, 'no new picture from the camera');
  page.all('play').run(200);
  assert.equal(page.director.status.phase, 'playing');
  assert.equal(page.shown, 'webrtc');
  assert.deepEqual(page.memory.failures, []);
});

test('a camera with one picture in two seconds is not taken for stalled', () => {
  const page = new Page(['mse', 'hls']);
  page.do(page.director.start(0));
  for (let second = 1; second < 60; second++) {
    page.nowMs = second * 1000;
    if (second % 2 === 1) page.do(page.director.frame(1, page.nowMs));
    page.do(page.director.tick(page.nowMs));
  }
  // One picture is missing: four seconds of silence.
  page.do(page.director.tick(63_000));
  assert.deepEqual(page.opened, ['mse']);
});

test('nothing is judged while the page is hidden', () => {
  const page = new Page().start().run(5_000).all(null);
  page.do(page.director.setVisible(false, page.nowMs));
  page.run(60_000);
  page.do(page.director.setVisible(true, page.nowMs));
  assert.equal(page.director.status.phase, 'playing');
  page.run(1_000);
  assert.deepEqual(page.opened, ['webrtc']);
});

test('a better mode is tried again from time to time, and shown only when it plays', () => {
  const page = new Page();
  page.behaviour.set('webrtc', REFUSED);
  page.start().run(DEFAULT_TIMING.upgradeMs + 1_000);
  assert.equal(page.shown, 'mse');
  assert.deepEqual(page.memory.failures, ['webrtc', 'webrtc']);
  page.behaviour.set('webrtc', 'play');
  page.run(DEFAULT_TIMING.upgradeMs + 2_000);
  assert.equal(page.shown, 'webrtc');
  assert.deepEqual(page.opened, ['webrtc']);
});

test('another taste while it plays brings the other mode beside the picture, and keeps to it', () => {
  const page = new Page().start().run(1_000);
  page.do(page.director.reorder(['mse', 'hls', 'webrtc'], page.nowMs));
  assert.deepEqual(page.opened, ['webrtc', 'mse']);
  page.run(2_000);
  assert.equal(page.shown, 'mse');
  page.run(3 * DEFAULT_TIMING.upgradeMs);
  assert.deepEqual(page.opened, ['mse']);
});

test('a remembered order decides which mode is first', () => {
  const page = new Page();
  page.memory.first = 'hls';
  page.start().run(500);
  assert.deepEqual(page.log, ['0 open hls', '80 show hls']);
});

test('stopping closes everything, keeps the picture, and starting goes on with the same mode', () => {
  const page = new Page();
  page.behaviour.set('webrtc', REFUSED);
  page.start().run(5_000);
  page.do(page.director.stop());
  assert.deepEqual(page.opened, []);
  assert.equal(page.director.status.phase, 'idle');
  page.log.length = 0;
  page.start();
  assert.deepEqual(page.log, [`${page.nowMs} open mse`]);
});

test('what the server said stays in sight while it is tried again', () => {
  const page = new Page().all(UNREACHABLE);
  page.behaviour.set('mse', REFUSED);
  page.start().until('waiting');
  for (let step = 0; step < 100; step++) assert.equal(page.run(40).director.status.reason?.kind, 'server');
});

test('pressing "try again" or a network that returns ends the wait', () => {
  const page = new Page(['mse']).all(UNREACHABLE).start().run(8_000).until('waiting');
  page.do(page.director.retryNow(page.nowMs));
  assert.deepEqual(page.opened, ['mse']);
});

test('at most two attempts are open beside the shown picture, whatever happens', () => {
  const page = new Page();
  let state = 7;
  const chance = (): number => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  page.start();
  for (let step = 0; step < 3_000; step++) {
    const mode = MODES[Math.floor(chance() * 4)] ?? 'mse';
    const behaviours = ['play', 'play', 'once', REFUSED, null] as const;
    page.behaviour.set(mode, behaviours[Math.floor(chance() * 5)] ?? null);
    if (chance() < 0.05) page.drop(mode);
    page.run(200);
    assert.ok(page.opened.length <= 3, page.opened.join());
  }
  page.all('play').run(30_000);
  assert.equal(page.director.status.phase, 'playing');
});

test('another quality of what plays is shown when its picture is there, by the same mode', () => {
  const page = new Page(['mse', 'hls']).start().run(3_000);
  page.log.length = 0;
  page.do(page.director.reopen(page.nowMs));
  assert.deepEqual(page.opened, ['mse', 'mse']);
  page.run(400);
  assert.deepEqual(
    page.log.map((line) => line.replace(/^\d+ /, '')),
    ['open mse', 'show mse', 'close mse'],
  );
  assert.equal(page.director.status.phase, 'playing');
});

test('another quality that can’t be had changes nothing, and is not held against the mode', () => {
  const page = new Page(['mse', 'hls']).start().run(3_000);
  page.behaviour.set('mse', REFUSED);
  page.do(page.director.reopen(page.nowMs));
  page.run(500);
  assert.equal(page.shown, 'mse');
  assert.deepEqual(page.memory.failures, []);
});
