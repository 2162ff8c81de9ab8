import assert from 'node:assert/strict';
import { test } from 'node:test';
import { socketPair } from '../../testkit/socket-pair.ts';
import { waitFor } from '../../testkit/wait.ts';
import { SocketViewer } from './viewer.ts';

test('a viewer that stops reading holds a bounded amount, then resumes with a key frame', async () => {
  const { near, far, close } = await socketPair();
  try {
    far.pause();
    const limit = 1_000_000;
    const viewer = new SocketViewer(near, { maxQueueBytes: limit, maxStuckMs: 10_000 }, 0, () => assert.fail('closed'));
    const picture = Buffer.alloc(100_000, 1);
    for (let n = 0; n < 300; n++) viewer.send(picture, n % 20 === 0, n);
    assert.ok(near.writableLength <= limit + picture.length, `${near.writableLength} bytes wait`);
    assert.ok(viewer.skipped > 0);
    far.resume();
    far.on('data', () => {});
    await waitFor(() => near.writableLength === 0);
    assert.equal(viewer.send(picture, false, 400), false, 'not in the middle of a GOP');
    assert.equal(viewer.send(picture, true, 401), true);
    assert.equal(viewer.send(picture, false, 402), true);
  } finally {
    close();
  }
});

test('a viewer that takes nothing for ten seconds is closed', async () => {
  const { near, far, close } = await socketPair();
  try {
    far.pause();
    let stuck = 0;
    const viewer = new SocketViewer(near, { maxQueueBytes: 1_000_000, maxStuckMs: 10_000 }, 0, () => stuck++);
    const picture = Buffer.alloc(500_000, 1);
    for (let n = 0; n < 40; n++) viewer.send(picture, true, 0);
    await waitFor(() => near.writableLength > 0);
    viewer.send(picture, true, 1_000);
    viewer.send(picture, true, 9_000);
    assert.equal(stuck, 0);
    viewer.send(picture, true, 12_000);
    assert.equal(stuck, 1);
  } finally {
    close();
  }
});

test('a viewer that was given the key frame alone waits for the next one', async () => {
  const { near, close } = await socketPair();
  try {
    const viewer = new SocketViewer(near, { maxQueueBytes: 1_000_000, maxStuckMs: 10_000 }, 0, () => {});
    viewer.waitForKey();
    assert.equal(viewer.send(Buffer.alloc(10), false, 1), false);
    assert.equal(viewer.send(Buffer.alloc(10), true, 2), true);
    assert.equal(viewer.send(Buffer.alloc(10), false, 3), true);
  } finally {
    close();
  }
});
