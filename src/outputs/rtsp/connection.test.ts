import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MemoryLog } from '../../../testkit/memory-log.ts';
import { ownerPolicy } from '../../access/policy.ts';
import type { Env } from '../../core/contracts.ts';
import { LogLimiter } from '../../core/log.ts';
import { DEFAULT_VIEWER_LIMITS } from '../../core/viewer.ts';
import { rtspConfig } from './config.ts';
import { RtspConnection } from './connection.ts';
import { UdpPorts } from './udp-shared.ts';

/** A peer that takes nothing: how much the kernel would hold for it (up to 38 MB on Linux) does not matter here. */
class DeafSocket extends Socket {
  waitingBytes = 0;
  override _write(chunk: Buffer): void {
    this.waitingBytes += chunk.length;
  }
  override _writev(): void {}
}

test('a client that asks without end and reads no answer is closed', async () => {
  const log = new MemoryLog();
  // Checked border: OPTIONS touches nothing else of it.
  const env = { product: 'hearthcam/test', access: ownerPolicy() } as unknown as Env;
  await using udp = new UdpPorts(log);
  const socket = new DeafSocket();
  const config = rtspConfig.parse({});
  const limiter = new LogLimiter();
  const limits = DEFAULT_VIEWER_LIMITS;
  new RtspConnection(socket, {
    env,
    config,
    log,
    auth: undefined,
    limiter,
    limits,
    udp,
    publishers: new Map(),
  }).start();
  let mostBytes = 0;
  for (let count = 0; count < 10_000 && !socket.destroyed; count++) {
    socket.emit('data', Buffer.from('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'));
    // It is answered by then: never do two requests wait.
    await setImmediate();
    mostBytes = Math.max(mostBytes, socket.writableLength);
  }
  assert.ok(socket.destroyed, 'closed');
  assert.ok(mostBytes > 200_000 && mostBytes < 300_000, `${mostBytes} bytes waited`);
  assert.match(log.text, /asks without reading the answers, closed/);
});
