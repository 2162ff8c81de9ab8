import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HearthcamError } from './errors.ts';
import { LoginPause } from './login-pause.ts';

test('a refused password is tried again after 5 s, then ever more rarely; another one at once', () => {
  const pause = new LoginPause();
  const login = { user: 'admin', password: 'a' };
  const refusal = new HearthcamError('rtsp.unauthorized', 'no');
  const may = (credentials: { user: string; password: string } | null, nowMs: number): boolean => {
    try {
      pause.check(credentials, nowMs);
      return true;
    } catch (error) {
      assert.equal(error, refusal);
      return false;
    }
  };
  assert.ok(may(login, 0));
  pause.refused(login, refusal, 0);
  assert.deepEqual(
    [may(login, 4999), may(login, 5000), may({ ...login, password: 'b' }, 1), may(null, 1)],
    [false, true, true, true],
  );
  pause.refused(login, refusal, 5000);
  assert.deepEqual([may(login, 14_999), may(login, 15_000)], [false, true]);
  for (let i = 0; i < 9; i++) pause.refused(login, refusal, 20_000);
  assert.ok(may(login, 50_000), 'half a minute at most');
  pause.accepted();
  assert.ok(may(login, 20_001));
});
