import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeTestHub } from '../../testkit/hub.ts';
import { scriptedSource } from '../../testkit/scripted-source.ts';
import { HearthcamError } from './errors.ts';

test('a failure that stays is told once and tried again only when somebody asks', async () => {
  let dials = 0;
  const script = scriptedSource('test', {
    refuse: (dial) => {
      dials = dial;
      return new HearthcamError('test.never', 'this can never work', { status: 501, permanent: true });
    },
  });
  await using held = makeTestHub({ sources: [script.module], streams: { cam: ['test:1'] }, lingerMs: 60_000 });
  const stream = held.hub.require('cam');
  const open = () =>
    stream.open({ formatName: 'test', protocol: '', remoteAddr: '', wants: [{ kind: 'video', codecs: 'any' }] });
  await assert.rejects(open(), /can never work/);
  // The first retry of a failure that may pass comes after 250 ms.
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(dials, 1);
  await assert.rejects(open(), /can never work/);
  assert.equal(dials, 2);
  assert.deepEqual(
    held.log.find('warn', /./).map((line) => line.message),
    ['camera "cam": this can never work'],
  );
});
