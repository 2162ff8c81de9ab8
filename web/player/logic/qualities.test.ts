import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { labelOf, levelOf, parseNotices, parseQualities, QualityMemory, qualityOfSize } from './qualities.ts';

const LIST = JSON.stringify([
  { name: 'main', stream: 'cam', width: 2560, height: 1440, codec: 'h264', kbps: 4000, made: false },
  { name: '720p', stream: 'cam', width: 1280, height: 720, codec: 'h264', made: true },
  { name: 'sub', stream: 'cam_sub', width: 0, height: 0, codec: null, made: false },
]);

describe('the list of qualities', () => {
  test('is named as people would', () => {
    assert.deepEqual(parseQualities(LIST).map(labelOf), ['Main 2560×1440', '720p', 'Sub']);
  });
  for (const [what, text] of [
    ['no JSON', '<html>'],
    ['no list', '{"name":"main"}'],
    ['entries without a name', '[1,null,{"width":3},{"name":""},{"name":5}]'],
  ]) {
    test(`is empty for ${what}`, () => assert.deepEqual(parseQualities(text ?? ''), []));
  }
  test('leaves sizes out that are none', () => {
    const [one] = parseQualities('[{"name":"x","width":-1,"height":"9","kbps":1.5}]');
    assert.deepEqual(one, { name: 'x', width: 0, height: 0, kbps: null });
  });
  test('says which one plays by its size, unless two have it', () => {
    const all = parseQualities(LIST);
    assert.equal(qualityOfSize(all, 1280, 720)?.name, '720p');
    assert.equal(qualityOfSize(all, 640, 360), null);
    assert.equal(qualityOfSize([...all, ...all], 1280, 720), null);
  });
  test('finds the level of an HLS master', () => {
    const [main, medium, sub] = parseQualities(LIST);
    const levels = [
      { width: 1280, height: 720 },
      { width: 2560, height: 1440 },
    ];
    assert.deepEqual(
      [levelOf(levels, main), levelOf(levels, medium), levelOf(levels, sub), levelOf(levels, undefined)],
      [1, 0, -1, -1],
    );
  });
});

describe('the choice', () => {
  test('is remembered, and auto is what there is without one', () => {
    const kept = new Map<string, string>();
    const store = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const memory = new QualityMemory('http://nas/|cam', store);
    assert.equal(memory.get(), 'auto');
    memory.set('sub');
    assert.equal(new QualityMemory('http://nas/|cam', store).get(), 'sub');
    assert.equal(new QualityMemory('http://nas/|porch', store).get(), 'auto');
    memory.set('auto');
    assert.equal(kept.size, 0);
  });
  test('is auto where the browser gives no storage', () => {
    const broken = (): never => {
      throw new Error('blocked');
    };
    const memory = new QualityMemory('x', { getItem: broken, setItem: broken, removeItem: broken });
    memory.set('sub');
    assert.equal(memory.get(), 'auto');
  });
});

test('only notices that say something are taken from the server', () => {
  const state = {
    notices: [
      { kind: 'audio', reason: 'AAC is not made into Opus', hint: 'transcode: audio' },
      { kind: 'audio', reason: '' },
      { kind: 'smell', reason: 'x' },
      'text',
      { kind: 'video', reason: 'H.265', hint: 7 },
    ],
  };
  assert.deepEqual(parseNotices(state), [
    { kind: 'audio', reason: 'AAC is not made into Opus', hint: 'transcode: audio' },
    { kind: 'video', reason: 'H.265', hint: '' },
  ]);
  assert.deepEqual(parseNotices(null), []);
});
